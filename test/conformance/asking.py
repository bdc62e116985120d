"""Scenarios: commands, queries, and every error and close code that a client can bring about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from catalogue import CLOSE_CODES, LIMITS
from client import Client, Refusal, new_id
from frames import Frame, id_bytes
from stage import URL, Scenario, credential, expect, refused, visitor
from values import encode
from vectors import message, stored

DAY_MS = 24 * 60 * 60 * 1000


def once_however_often() -> None:
    """[8.2][P3] a command that is sent again gets its first reply, byte for byte, over whichever connection"""
    client = visitor("once")
    chat = client.create()
    command_id = new_id()
    args = {"chat": id_bytes(chat), "title": "once"}
    requests = [client.begin("chat.rename", args, command_id) for _ in range(3)]
    for request in requests:
        client.reply(request)
    client.command("chat.rename", {"chat": id_bytes(chat), "title": "twice"})
    other = visitor("once")
    later = other.begin("chat.rename", args, command_id)
    other.reply(later)
    bodies = {*(client.bodies[request] for request in requests), other.bodies[later]}
    expect(len(bodies), 1, "different replies")
    expect(other.query("chats.get", {"chat": id_bytes(chat)})["chat"]["title"], "twice", "the title")
    refused("id_reused", lambda: other.command("chat.rename", {**args, "title": "thrice"}, command_id))


def kept_refusals() -> None:
    """[8.4] a refusal that depends on the chat is kept like a result"""
    client = visitor("kept")
    chat = client.create()
    client.attach(chat)
    turn = client.say(chat, "/script deltas=2000 pace=20ms")["turn"]
    args = {"chat": id_bytes(chat), "content": [{"type": "text", "text": "now"}], "busy": "reject"}
    command_id = new_id()
    refused("busy", lambda: client.command("chat.send", args, command_id))
    client.command("chat.stop", {"chat": id_bytes(chat), "turn": id_bytes(turn)})
    client.turn_ended(chat, turn)
    refused("busy", lambda: client.command("chat.send", args, command_id))
    expect(client.command("chat.send", args)["outcome"], "started", "under a new id")


def queue_and_interrupt() -> None:
    """[8.10] while a turn runs messages wait in the queue, at most 20, or interrupt it"""
    client = visitor("queue")
    chat = client.create()
    _, state = client.attach(chat)
    turn = client.say(chat, "/script deltas=2000 pace=20ms")["turn"]
    for number in range(LIMITS["queuedMessages"]):
        expect(client.say(chat, f"/script words=1 seed={number}")["outcome"], "queued", "a message that waits")
    refused("queue_full", lambda: client.say(chat, "one too many"))
    client.until(lambda: len(state.queue) == LIMITS["queuedMessages"])
    sent = client.command("chat.stop", {"chat": id_bytes(chat), "turn": id_bytes(turn)})
    expect(sent["outcome"], "stopping", "the stop")
    client.until(lambda: not state.queue and state.turn is None)
    users = [m for m in state.messages.values() if m["role"] == "user"]
    expect(len(users), 1 + LIMITS["queuedMessages"], "messages that had their turn")
    turn = client.say(chat, "/script deltas=2000 pace=20ms")["turn"]
    client.say(chat, "/script words=1", busy="interrupt")
    expect(client.turn_ended(chat, turn)["outcome"], "interrupted", "the turn that was interrupted")


def errors_of_requests() -> None:
    """[9.1] what is asked wrongly is refused with the code that says why"""
    client = visitor("wrong")
    chat = client.create()
    key = {"chat": id_bytes(chat)}
    one = [{"type": "text", "text": "x"}]
    bad_args: list[tuple[str, Frame]] = [
        ("chat.send", {**key, "content": []}),
        ("chat.send", {**key, "content": one * 17}),
        ("chat.send", {**key, "content": [{"type": "text", "text": " "}]}),
        ("chat.send", {**key, "content": one, "busy": "whenever"}),
        ("chat.send", {**key, "content": "x"}),
        ("chat.send", {"chat": chat, "content": one}),
        ("chat.rename", {**key, "title": "x" * 201}),
        ("chat.rename", {**key, "title": " "}),
        ("chat.set_labels", {**key, "labels": {str(n): "" for n in range(51)}}),
        ("chat.set_labels", {**key, "labels": {"x" * 65: ""}}),
        ("chat.set_labels", {**key, "labels": {"x": "y" * 257}}),
        ("chats.create", {"system_prompt": "x" * 10_001}),
        ("chat.stop", key),
    ]
    for name, args in bad_args:
        refused("bad_args", lambda name=name, args=args: client.command(name, args))
    for name, args in [
        ("messages", {**key, "limit": 201}),
        ("messages", {**key, "before": 2, "after": 2}),
        ("messages.part", {**key, "number": "1", "part": 0}),
        ("chats.list", {"limit": 101}),
    ]:
        refused("bad_args", lambda name=name, args=args: client.query(name, args))
    refused("unknown_command", lambda: client.command("chat.explode", key))
    refused("unknown_query", lambda: client.query("chats.guess", key))
    refused("unknown_model", lambda: client.create(model="nobody"))
    refused("unknown_model", lambda: client.say(chat, "x", model="nobody"))
    refused("not_found", lambda: client.query("chats.get", {"chat": id_bytes(new_id())}))
    refused("not_found", lambda: client.say(new_id(), "x"))
    refused("not_found", lambda: visitor("wrong, a stranger").say(chat, "x"))


def errors_of_ids() -> None:
    """[8.1][8.2] an id that is no UUIDv7, lies ahead, or is old and unknown is refused"""
    client = visitor("ids")
    chat = client.create()
    now = int(time.time() * 1000)
    rename = lambda command_id: client.command("chat.rename", {"chat": id_bytes(chat), "title": "x"}, command_id)
    refused("bad_command_id", lambda: rename("01980000-0000-4000-8000-000000000001"))
    refused("bad_command_id", lambda: rename(new_id(now + DAY_MS + 60_000)))
    refused("expired", lambda: rename(new_id(now - DAY_MS - 60_000)))


def errors_of_archives() -> None:
    """[8.12] an archived chat takes no messages, and its children do not come back before it"""
    client = visitor("archive")
    parent = client.create()
    child = client.create(parent=id_bytes(parent))
    client.command("chat.archive", {"chat": id_bytes(parent)})
    refused("archived", lambda: client.say(child, "x"))
    refused("parent_archived", lambda: client.command("chat.unarchive", {"chat": id_bytes(child)}))
    refused("parent_archived", lambda: client.create(parent=id_bytes(parent)))
    client.command("chat.unarchive", {"chat": id_bytes(parent)})
    client.command("chat.unarchive", {"chat": id_bytes(child)})
    expect(client.say(child, "/script words=1")["outcome"], "started", "after it came back")


def errors_of_rights() -> None:
    """[8.7] an auditor reads the chats of others and changes nothing"""
    chat = visitor("audited").create(title="read me")
    auditor = Client.live(URL, credential("the auditor", role="auditor"))
    expect(auditor.attach(chat)[0], "snapshot", "reading")
    refused("forbidden", lambda: auditor.say(chat, "x"))


def errors_of_attachments() -> None:
    """[5.4][5.11] more without a snapshot, and one attachment too many, are refused"""
    client = visitor("attachments")
    chat = client.create()
    client.attach(chat)
    client.send({"op": "more", "chat": chat})
    answer = client.wait(lambda frame: frame["op"] == "refused")
    expect((answer["chat"], answer["error"]["code"]), (chat, "not_attached"), "more")
    for _ in range(client.welcome["limits"]["attachments"]):
        client.attach(client.create())
    refused("too_many", lambda: client.attach(chat))


def unknown_ops() -> None:
    """[2.10] an op that the server does not know is answered, and the connection goes on"""
    client = visitor("ops")
    client.socket.send(encode([31, "later"]))
    answer = client.wait(lambda frame: frame["op"] == "reply")
    expect((answer["request"], answer["error"]["code"]), (0, "unknown_op"), "the answer")
    client.query("models.list", {})


def pages_of_messages() -> None:
    """[8.16] messages are paged downwards and upwards, each once, without the queue but on the first page"""
    client = visitor("pages")
    chat = client.create()
    client.attach(chat)
    for _ in range(7):
        client.turn_ended(chat, client.say(chat, "/script words=1")["turn"])
    key = {"chat": id_bytes(chat)}
    whole = client.query("messages", key)
    numbers = [message["number"] for message in whole["messages"]]
    expect((numbers, whole["has_more"], whole["queue"]), (list(range(14, 0, -1)), False, []), "one page")
    down: list[int] = []
    more: bool = True
    while more:
        page = client.query("messages", {**key, "limit": 3, **({"before": down[-1]} if down else {})})
        down += [message["number"] for message in page["messages"]]
        more = page["has_more"]
    expect(down, numbers, "downwards")
    up: list[int] = [0]
    more = True
    while more:
        page = client.query("messages", {**key, "limit": 4, "after": up[-1]})
        expect("queue" in page, False, "the queue on a later page")
        up += [message["number"] for message in page["messages"]]
        more = page["has_more"]
    expect(up[1:], numbers[::-1], "upwards")
    between = client.query("messages", {**key, "after": 3, "before": 6})
    expect([message["number"] for message in between["messages"]], [5, 4], "between two numbers")


def pages_of_chats() -> None:
    """[8.15] the list of chats is paged, the newest first, each chat once"""
    client = visitor("list")
    chats = [client.create(title=str(number)) for number in range(7)]
    client.command("chat.archive", {"chat": id_bytes(chats[0])})
    found: list[bytes] = []
    after: Any = None
    while after is not None or not found:
        page = client.query("chats.list", {"limit": 2, "archived": False, "after": after})
        found += [chat["id"] for chat in page["chats"]]
        after = page["next"]
    expect(found, [id_bytes(chat) for chat in chats[:0:-1]], "the chats that are not archived")
    archived = client.query("chats.list", {"archived": True})["chats"]
    expect([chat["id"] for chat in archived], [id_bytes(chats[0])], "the archived one")


# --------------------------------------------------------------------------------------------------- close codes


def closes(name: str, client: Client, *, bye: bool = True) -> None:
    """The connection ends with the code of that name, after a `bye` that says it."""
    end = client.closed()
    expect(end.code, CLOSE_CODES[name], f"the close code ({end.reason})")
    byes = [frame["code"] for frame in client.frames if frame["op"] == "bye"]
    if bye:
        expect(byes, [end.code], "the code of bye")


def closes_before_hello() -> None:
    """[4.1] a first frame that is no hello, a wrong version, a bad and an expired credential, and no hello at all"""
    silent = Client(URL)
    client = Client(URL)
    client.send({"op": "ping"})
    closes("bad_frame", client)
    attempts: tuple[tuple[str, str, int], ...] = (
        ("unsupported_version", credential("close"), 2),
        ("unauthorized", "nonsense", 1),
        ("unauthorized", credential("close")[:-4] + "AAAA", 1),
        ("token_expired", credential("close", seconds=-60), 1),
    )
    for name, token, version in attempts:
        client = Client(URL)
        client.send({"op": "hello", "version": version, "credential": token, "client": "conformance/1"})
        closes(name, client)
    closes("hello_timeout", silent)


def closes_after_hello() -> None:
    """[1.3][4.1] a second hello, a text message, an empty one and one over the limit end the connection"""
    breaks: tuple[tuple[str, Callable[[Client], None]], ...] = (
        ("bad_frame", lambda client: client.send(hello())),
        ("bad_frame", lambda client: client.socket.send(b"hello", opcode=1)),
        ("bad_frame", lambda client: client.socket.send(b"")),
        ("too_large", lambda client: client.socket.send(b"\x91\x08" * 131_073)),
    )
    for name, break_it in breaks:
        client = visitor("close")
        break_it(client)
        closes(name, client)


def hello() -> Frame:
    return {"op": "hello", "version": 1, "credential": credential("close"), "client": "conformance/1"}


def closes_at_negatives() -> None:
    """[2.9][12.2] every message of client-negative.json ends the connection, after the frames before the fault"""
    for vector in stored("client-negative"):
        client = visitor("negative")
        client.socket.send(message(vector))
        closes("too_large" if vector["error"] == "too_large" else "bad_frame", client)


def closes_at_floods() -> None:
    """[11.1] too many frames, and too many pings of WebSocket, end the connection with a code that means: come back"""
    client = visitor("flood")
    for _ in range(20):
        client.socket.send(b"\x91\x08" * 256)
    closes("rate_limited", client)
    client = visitor("flood")
    try:
        for _ in range(20_000):
            client.socket.send(b"x", opcode=9)
    except OSError:
        pass
    closes("rate_limited", client)


def requests_at_once() -> None:
    """[8.6] requests without a reply are bounded: the one too many is refused, the others are answered"""
    client = visitor("requests")
    chat = client.create()
    limit = client.welcome["limits"]["requests"]
    commands = []
    for number in range(limit + 50):
        request = client.next_request()
        args = {"chat": id_bytes(chat), "title": str(number)}
        commands.append({"op": "command", "request": request, "id": new_id(), "name": "chat.rename", "args": args})
    for at in range(0, len(commands), 100):
        client.send(*commands[at : at + 100])
    codes: dict[str, int] = {}
    for command in commands:
        try:
            client.reply(command["request"])
            codes["ok"] = codes.get("ok", 0) + 1
        except Refusal as refusal:
            codes[refusal.code] = codes.get(refusal.code, 0) + 1
    expect(set(codes) <= {"ok", "too_many"} and codes["ok"] >= limit, True, f"the answers {codes}")


def expiry_and_auth() -> None:
    """[4.3] a credential that ends: requests are refused, then 4004; a fresh one in time keeps the connection"""
    kept, lost = Client(URL), Client(URL)
    soon = credential("expiry", seconds=3)
    for client in (kept, lost):
        client.hello(soon)
    refused("unauthorized", lambda: kept.auth("nonsense"))
    refused("unauthorized", lambda: kept.auth(credential("somebody else")))
    fresh = kept.auth(credential("expiry"))
    expect(fresh["expires_at"] > kept.welcome["expiresAtMs"], True, "a later end")
    closes("token_expired", lost)
    kept.query("models.list", {})


SCENARIOS: tuple[Scenario, ...] = (
    once_however_often,
    kept_refusals,
    queue_and_interrupt,
    errors_of_requests,
    errors_of_ids,
    errors_of_archives,
    errors_of_rights,
    errors_of_attachments,
    unknown_ops,
    pages_of_messages,
    pages_of_chats,
    closes_before_hello,
    closes_after_hello,
    closes_at_negatives,
    closes_at_floods,
    requests_at_once,
    expiry_and_auth,
)
