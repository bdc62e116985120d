"""Scenarios: the list of chats. Pages, the feed behind them, what was read."""

from __future__ import annotations

from typing import Any

from client import Client
from feed import FeedState
from frames import Frame, id_bytes
from stage import Scenario, expect, visitor


def listed(client: Client) -> FeedState:
    """8.20: the cursor is that of the first page; then it watches."""
    state = client.feed = FeedState()
    after: Any = None
    while after is not None or state.cursor is None:
        page = client.query("chats.list", {"limit": 2, "after": after})
        state.page(page)
        after = page["next"]
    watch(client, state.cursor)
    return state


def watch(client: Client, cursor: int | None) -> None:
    request = client.next_request()
    client.send({"op": "watch", "request": request, "cursor": cursor})
    expect(client.reply(request), {}, "the answer of watch")


def feeds(client: Client) -> list[Frame]:
    return [frame for frame in client.frames if frame["op"] == "feed"]


def same_as_listed(client: Client, state: FeedState) -> None:
    """The list that the feed made is the one that a client gets that asks now."""
    fresh = FeedState()
    fresh.page(client.query("chats.list", {"limit": 100}))
    expect(sorted(state.chats), sorted(fresh.chats), "the chats")
    expect(state.chats, fresh.chats, "the summaries")
    expect(state.cursor, fresh.cursor, "the cursor")


def feed_follows() -> None:
    """[8.19][8.20][8.22][8.24] pages and feed: what another session creates, renames and archives shows, each chat once"""
    other, client = visitor("feed"), visitor("feed")
    old = [other.create(title=f"old {number}") for number in range(5)]
    state = listed(client)
    client.until(lambda: len(feeds(client)) > 0)
    expect(sorted(state.chats), sorted(old), "the pages")
    new = other.create(title="new")
    client.until(lambda: new in state.chats)
    expect(state.chats[new]["title"], "new", "a chat that was created")
    other.command("chat.rename", {"chat": id_bytes(old[0]), "title": "renamed"})
    client.until(lambda: state.chats[old[0]]["title"] == "renamed")
    below = other.create(title="below", parent=id_bytes(old[1]))
    other.command("chat.archive", {"chat": id_bytes(old[1])})
    client.until(lambda: below in state.chats and all(state.chats[chat]["archived"] for chat in (old[1], below)))
    expect([chat for chat in state.chats if state.chats[chat]["archived"]], [old[1], below], "the archived ones")
    same_as_listed(client, state)
    client.send({"op": "ping"})
    expect(client.wait(lambda frame: frame["op"] == "heartbeat").get("feed"), state.cursor, "the heartbeat")
    stranger = visitor("feed, a stranger")
    expect(listed(stranger).chats, {}, "the list of a stranger")


def feed_resumes() -> None:
    """[8.21][8.22] a feed is resumed by its cursor: only what changed since comes, nothing at all when nothing did"""
    other, client = visitor("feed, again"), visitor("feed, again")
    chats = [other.create(title=str(number)) for number in range(4)]
    state = listed(client)
    client.until(lambda: len(feeds(client)) > 0)
    client.socket.cut()
    other.command("chat.rename", {"chat": id_bytes(chats[2]), "title": "meanwhile"})
    made = other.create(title="made meanwhile")
    back = visitor("feed, again")
    back.feed = state
    watch(back, state.cursor)
    back.until(lambda: made in state.chats and state.chats[chats[2]]["title"] == "meanwhile")
    came = [chat["id"] for frame in feeds(back) for chat in frame["chats"]]
    expect(sorted(came), sorted([chats[2], made]), "what came to the cursor")
    same_as_listed(back, state)
    idle = visitor("feed, again")
    idle.feed = state
    watch(idle, state.cursor)
    idle.until(lambda: len(feeds(idle)) > 0)
    expect(feeds(idle), [_nothing_behind(state.cursor)], "nothing new")
    whole = visitor("feed, again")
    whole.feed = FeedState()
    watch(whole, None)
    whole.until(lambda: whole.feed is not None and whole.feed.cursor == state.cursor)
    expect(whole.feed.chats, state.chats, "all of it, from nil")


def _nothing_behind(cursor: int | None) -> Frame:
    return {"op": "feed", "from": cursor, "cursor": cursor, "more": False, "chats": []}


def feed_ends() -> None:
    """[8.21] after unwatch no more of the feed comes, and a heartbeat does not name it"""
    other, client = visitor("feed, ended"), visitor("feed, ended")
    other.create()
    listed(client)
    client.until(lambda: len(feeds(client)) > 0)
    client.send({"op": "unwatch"})
    beat(client)
    count = len(feeds(client))
    other.create()
    # The other session sees the change in its own feed: by then the first one would have been told as well.
    seen = listed(other)
    last = other.create()
    other.until(lambda: last in seen.chats)
    expect("feed" in beat(client), False, "the feed of a heartbeat")
    expect(len(feeds(client)), count, "frames of the feed")


def beat(client: Client) -> Frame:
    client.send({"op": "ping"})
    return client.wait(lambda frame: frame["op"] == "heartbeat")


def feed_lost() -> None:
    """[8.23] a cursor that was never given: the feed begins anew with a `from` of nil, and the list with it"""
    client = visitor("feed, lost")
    chats = [client.create() for _ in range(3)]
    state = client.feed = FeedState()
    state.cursor = 1_000_000
    state.chats["a chat of a future that is no more"] = {}
    watch(client, state.cursor)
    client.until(lambda: sorted(state.chats) == sorted(chats))
    expect(feeds(client)[0]["from"], None, "the first frame")
    same_as_listed(client, state)


def unread_and_read() -> None:
    """[7.6][8.18] an answer is unread until chat.read; the other devices see it, and it moves nothing but the feed"""
    writer, device = visitor("unread"), visitor("unread")
    chat = writer.create()
    _, attached = writer.attach(chat)
    state = listed(device)
    expect((state.chats[chat]["read"], state.chats[chat]["unread"]), (0, 0), "a new chat")
    writer.turn_ended(chat, writer.say(chat, "/script words=3")["turn"])
    answer = max(attached.messages)
    device.until(lambda: state.chats[chat]["unread"] == 1 and state.chats[chat]["status"] == "waiting")
    before, cursor = state.chats[chat], attached.cursor

    def read(number: int) -> int:
        position: int = writer.command("chat.read", {"chat": id_bytes(chat), "number": number})["read"]
        return position

    expect(read(answer + 100), answer, "never past the last message")
    device.until(lambda: state.chats[chat]["unread"] == 0)
    expect(state.chats[chat], {**before, "read": answer, "unread": 0}, "the summary")
    expect(read(1), answer, "never back")
    beat(writer)
    expect(attached.cursor, cursor, "no event of it")
    same_as_listed(device, state)
    auditor = visitor("unread, an auditor", role="auditor")
    others = auditor.query("chats.get", {"chat": id_bytes(chat)})["chat"]
    expect((others["read"], others["unread"]), (None, None), "of others")


SCENARIOS: tuple[Scenario, ...] = (feed_follows, feed_resumes, feed_ends, feed_lost, unread_and_read)
