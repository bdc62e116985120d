"""Scenarios: following a chat. Attach, send, stream, resume, read slowly."""

from __future__ import annotations

import time

from client import Client, new_id
from frames import Frame, id_bytes
from reducer import ChatState, pair
from stage import Scenario, expect, visitor

LONG = "/script deltas=300 pace=5ms unicode=1"
PAGES_TOO_MANY = 100


def attach_outcomes() -> None:
    """[5.2][P4] attach ends as snapshot without a cursor, resumed with one, gone for a chat that is not there"""
    client = visitor("attach")
    chat = client.create(title="outcomes")
    outcome, state = client.attach(chat)
    expect(outcome, "snapshot", "without a cursor")
    expect(state.chat and state.chat["title"], "outcomes", "the head of the snapshot")
    client.send({"op": "detach", "chat": chat})
    expect(client.attach(chat, state)[0], "resumed", "with the cursor")
    expect(client.attach(new_id())[0], "gone", "a chat that never was")
    other = visitor("attach, a stranger")
    expect(other.attach(chat)[0], "gone", "a chat of somebody else")


def send_and_stream() -> None:
    """[6.11][8.10] a message is sent, the answer streams in blocks whose offsets are bytes of UTF-8, and becomes a message"""
    client = visitor("send")
    chat = client.create()
    _, state = client.attach(chat)
    sent = client.say(chat, LONG)
    expect(sent["outcome"], "started", "a chat at rest")
    ended = client.turn_ended(chat, sent["turn"])
    expect(ended["outcome"], "completed", "the turn")
    blocks = [f["event"] for f in client.frames if f["op"] == "event" and f["event"]["kind"] == "block"]
    deltas = [block for block in blocks if block["type"] == "delta"]
    streamed = "".join(delta["text"] for delta in deltas)
    at = 0
    for delta in deltas:
        expect(delta["offset"], at, "the offset of a delta")
        at += len(delta["text"].encode())
    if len(streamed) == at or len(deltas) < 50:
        raise AssertionError(f"{len(deltas)} deltas of {at} bytes say little about offsets")
    ends = [block["bytes"] for block in blocks if block["type"] == "end"]
    expect(ends, [at], "the end of the block")
    expect(state.text(sent["turn"]), streamed, "the message")
    asked, answer = (message for _, message in sorted(state.messages.items()))
    expect((asked["role"], asked["id"], asked["number"]), ("user", sent["turn"], sent["number"]), "the user's message")
    expect((answer["role"], answer["step"], answer["model"]), ("assistant", 1, "scripted"), "the model's message")
    expect(state.turn, None, "the running turn")
    expect(tuple(sent["position"]) <= (state.cursor or (0, 0)), True, "the position of the reply lies behind us")


def resume_after_cuts() -> None:
    """[P2][P4][8.5] cut off ten times in an answer, the client resumes by its cursor and ends with the same bytes"""
    calm = visitor("cuts")
    chat = calm.create()
    _, whole = calm.attach(chat)
    client = visitor("cuts")
    _, state = client.attach(chat)
    sent = calm.say(chat, "/script deltas=600 pace=5ms unicode=1")
    outcomes: list[str] = []
    for length in range(200, 2200, 200):
        client.until(lambda: len(state.text(sent["turn"])) >= length or state.last_turn is not None)
        client.socket.cut()
        client = visitor("cuts")
        outcomes.append(client.attach(chat, state)[0])
    client.turn_ended(chat, sent["turn"])
    calm.turn_ended(chat, sent["turn"])
    same_place(client, state, calm, whole)
    expect(state.shared(), whole.shared(), "the states")
    expect("resumed" in outcomes, True, f"a resume among {outcomes}")
    fresh = visitor("cuts")
    expect(fresh.attach(chat)[1].shared(), whole.shared(), "a client that comes later")


def same_place(a: Client, mine: ChatState, b: Client, theirs: ChatState) -> None:
    """Both handle what the other has handled already."""
    a.until(lambda: (mine.cursor or (0, 0)) >= (theirs.cursor or (0, 0)))
    b.until(lambda: (theirs.cursor or (0, 0)) >= (mine.cursor or (0, 0)))


def attach_in_mid_turn() -> None:
    """[5.8] a client that comes in the middle of an answer gets what was said so far, and then the rest"""
    calm = visitor("midway")
    chat = calm.create()
    _, whole = calm.attach(chat)
    sent = calm.say(chat, LONG)
    calm.until(lambda: len(whole.text(sent["turn"])) > 200)
    late = visitor("midway")
    outcome, state = late.attach(chat)
    expect(outcome, "snapshot", "without a cursor")
    expect(state.turn is not None and len(state.text(sent["turn"])) > 100, True, "the live block of the snapshot")
    late.turn_ended(chat, sent["turn"])
    calm.turn_ended(chat, sent["turn"])
    same_place(late, state, calm, whole)
    expect(state.shared(), whole.shared(), "the states")


def retried_answer() -> None:
    """[6.9][6.10] an attempt that fails is taken back by name, and the next one is the answer"""
    client = visitor("retry")
    chat = client.create()
    _, state = client.attach(chat)
    sent = client.say(chat, "/script fail=overloaded@20 times=2 deltas=40")
    expect(client.turn_ended(chat, sent["turn"])["outcome"], "completed", "the turn")
    events = [frame["event"] for frame in client.frames if frame["op"] == "event"]
    retries = [event for event in events if event["kind"] == "retry"]
    expect([retry["error"]["code"] for retry in retries], ["model_overloaded"] * 2, "the retries")
    resets = [event for event in events if event["kind"] == "step" and event["type"] == "reset"]
    expect(len(resets), 2, "blocks that were taken back")
    expect(len(state.text(sent["turn"])) > 0, True, "the answer")


def slow_reader() -> None:
    """[11.2][P9] a client that reads nothing while much is streamed gets fewer events, which stand for more, and loses nothing"""
    calm = visitor("slow")
    filler = filled(calm)
    taken = taken_unread(calm, filler)
    chat = calm.create()
    _, whole = calm.attach(chat)
    client = visitor("slow", receive_buffer=32_768)
    _, state = client.attach(chat)
    # Now the buffers on the way are full and two replies wait: nothing of the chat is sent to it until it reads.
    ask_for_pages(client, filler, taken + 2)
    settled(calm, filler)
    sent = calm.say(chat, "/script deltas=1500 pace=5ms unicode=1")
    calm.until(lambda: len(whole.spans) >= 100)
    client.turn_ended(chat, sent["turn"])
    calm.turn_ended(chat, sent["turn"])
    same_place(client, state, calm, whole)
    expect(state.shared(), whole.shared(), "the states")
    counts = f"{len(state.spans)} events of the slow reader, {len(whole.spans)} of the other"
    expect(len(state.spans) < len(whole.spans), True, counts)
    expect(max(state.spans) > 1, True, f"an event that stands for many; {counts}")
    replies = [frame for frame in client.frames if frame["op"] == "reply"]
    expect(len(replies), taken + 2, "replies, late as they were read")


def slow_close() -> None:
    """[11.2][P9] a client that asks and never reads is closed with 4001, and resumes with its cursor"""
    calm = visitor("never")
    chat = filled(calm)
    client = visitor("never", receive_buffer=4096)
    _, state = client.attach(chat)
    ask_for_pages(client, chat, PAGES_TOO_MANY)
    settled(calm, chat)
    expect(client.closed().code, 4001, "the close code")
    outcome, _ = visitor("never").attach(chat, state)
    expect(outcome, "resumed", "after the close")


def filled(client: Client) -> str:
    """A chat whose first page is as large as one may be."""
    chat = client.create()
    client.attach(chat)
    for _ in range(2):
        client.turn_ended(chat, client.say(chat, "", content=big_content(15_000))["turn"])
    return chat


def ask_for_pages(client: Client, chat: str, count: int) -> None:
    page: Frame = {"op": "query", "name": "messages", "args": {"chat": id_bytes(chat)}}
    for number in range(count):
        client.send({**page, "request": 1_000 + number})


def settled(client: Client, chat: str) -> None:
    """What another client asks is answered behind the questions of those before it."""
    for _ in range(10):
        client.query("messages", {"chat": id_bytes(chat)})


def taken_unread(calm: Client, chat: str) -> int:
    """How many pages the buffers on the way take of a client that does not read: those that still come after the close."""
    client = visitor("slow", receive_buffer=32_768)
    ask_for_pages(client, chat, PAGES_TOO_MANY)
    settled(calm, chat)
    expect(client.closed().code, 4001, "the close code")
    return len([frame for frame in client.frames if frame["op"] == "reply"])


def big_content(size: int) -> list[Frame]:
    """Two hundred kilobytes in parts that are no references."""
    filler = "é" * (size // 2)
    return [{"type": "text", "text": "/script words=1"}] + [{"type": "text", "text": filler} for _ in range(13)]


def snapshot_in_pieces() -> None:
    """[5.4][5.5] a snapshot over 256 KiB comes in pieces that the client pulls, and shows as a whole"""
    writer = visitor("pieces")
    chat = writer.create()
    writer.attach(chat)
    for _ in range(4):
        sent = writer.say(chat, "", content=big_content(15_000))
        writer.turn_ended(chat, sent["turn"])
    client = visitor("pieces")
    _, state = client.attach(chat)
    pieces = [frame["piece"] for frame in client.frames if frame["op"] == "attached"]
    expect(len(pieces) >= 3, True, f"{len(pieces)} pieces")
    expect([piece["head"] is not None for piece in pieces], [True, *[False] * (len(pieces) - 1)], "heads")
    expect([piece["last"] for piece in pieces], [*[False] * (len(pieces) - 1), True], "the last one")
    expect(state.shared(), writer.chats[chat].shared(), "the states")


def parts_by_reference() -> None:
    """[7.3][8.17] a part over 16 KiB is a reference in a snapshot; its text is fetched in slices"""
    writer = visitor("parts")
    chat = writer.create()
    writer.attach(chat)
    long = "/script words=1 " + "é界🙂" * 6_000
    sent = writer.say(chat, long)
    writer.turn_ended(chat, sent["turn"])
    client = visitor("parts")
    _, state = client.attach(chat)
    part = state.messages[sent["number"]]["parts"][0]
    expect(part, {"type": "text", "bytes": len(long.encode())}, "the reference")
    text, slices, more = "", 0, True
    while more:
        args = {"chat": id_bytes(chat), "number": sent["number"], "part": 0, "offset": len(text.encode())}
        piece = client.query("messages.part", args)
        text, slices, more = text + piece["text"], slices + 1, piece["more"]
    expect(text == long and slices > 1, True, f"the text in {slices} slices")
    inside = client.query("messages.part", {"chat": id_bytes(chat), "number": sent["number"], "part": 0, "offset": 17})
    expect(inside["offset"], 16, "an offset inside a code point")


def heartbeat() -> None:
    """[4.4][4.6] a ping is answered by a heartbeat with the place of every attachment; by itself it comes within 20 s"""
    client = visitor("heartbeat")
    chat = client.create()
    _, state = client.attach(chat)
    client.send({"op": "ping"})
    beat = client.wait(lambda frame: frame["op"] == "heartbeat")
    expect([(one, pair(position)) for one, position in beat["positions"]], [(chat, state.cursor)], "positions")
    expect(abs(beat["nowMs"] - time.time() * 1000) < 60_000, True, "the time")
    client.wait(lambda frame: frame["op"] == "heartbeat")


def two_devices() -> None:
    """[8.11][P6] a turn that one device started is stopped by another; what was said stays, marked interrupted"""
    first, second = visitor("devices"), visitor("devices")
    chat = first.create()
    _, state = first.attach(chat)
    second.attach(chat)
    sent = first.say(chat, "/script deltas=2000 pace=20ms")
    first.until(lambda: len(state.text(sent["turn"])) > 50)
    first.socket.cut()
    stopped = second.command("chat.stop", {"chat": id_bytes(chat), "turn": id_bytes(sent["turn"])})
    expect(stopped, {"outcome": "stopping"}, "the stop")
    expect(second.turn_ended(chat, sent["turn"])["outcome"], "stopped", "the turn")
    again = second.command("chat.stop", {"chat": id_bytes(chat), "turn": id_bytes(sent["turn"])})
    expect(again, {"outcome": "not_running"}, "a stop that comes late")
    answer = max(second.chats[chat].messages.values(), key=lambda message: int(message["number"]))
    expect(answer.get("interrupted"), True, "what was said so far")
    back = visitor("devices")
    back.attach(chat, state)
    expect(state.shared(), second.chats[chat].shared(), "the device that came back")


SCENARIOS: tuple[Scenario, ...] = (
    attach_outcomes,
    send_and_stream,
    resume_after_cuts,
    attach_in_mid_turn,
    retried_answer,
    slow_reader,
    slow_close,
    snapshot_in_pieces,
    parts_by_reference,
    heartbeat,
    two_devices,
)
