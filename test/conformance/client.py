"""A client of the protocol on one connection, without threads: whoever waits for something handles what comes before it."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

from feed import FeedState
from frames import Frame, decode_server, encode_client, id_bytes
from reducer import ChatState, Gap, pair
from transport import Closed, WebSocket
from values import Reader, encode

WAIT_SECONDS = 30.0
TRIES = 8


class Refusal(Exception):
    """The error of a reply or of `refused` (section 9)."""

    def __init__(self, error: Frame) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.error = error
        self.code: str = error["code"]


def new_id(now_ms: int | None = None) -> str:
    """A UUIDv7 (RFC 9562, 5.7)."""
    ms = int(time.time() * 1000) if now_ms is None else now_ms
    raw = bytearray(ms.to_bytes(6) + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))


class Client:
    """States: connected (`__init__`) → live (`hello`) → over, which any call says with `Closed`."""

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        self.socket = WebSocket(url, receive_buffer=receive_buffer)
        self.frames: list[Frame] = []
        """The bytes of each reply's body, by request."""
        self.bodies: dict[int, bytes] = {}
        self.chats: dict[str, ChatState] = {}
        self.feed: FeedState | None = None
        self.welcome: Frame = {}
        self._replies: dict[int, Frame] = {}
        self._request = 0

    @classmethod
    def live(cls, url: str, credential: str, *, receive_buffer: int | None = None) -> Client:
        client = cls(url, receive_buffer=receive_buffer)
        client.hello(credential)
        return client

    # --------------------------------------------------------------------------------------------------- sending

    def send(self, *frames: Frame) -> None:
        """In one message."""
        self.socket.send(b"".join(map(encode_client, frames)))

    def hello(self, credential: str, version: int = 1) -> Frame:
        self.send({"op": "hello", "version": version, "credential": credential, "client": "conformance/1"})
        self.welcome = self.wait(lambda frame: frame["op"] == "welcome")
        return self.welcome

    def next_request(self) -> int:
        self._request += 1
        return self._request

    def auth(self, credential: str) -> Any:
        request = self.next_request()
        self.send({"op": "auth", "request": request, "credential": credential})
        return self.reply(request)

    def command(self, name: str, args: Frame, command_id: str | None = None) -> Any:
        """Sends a command and returns its result; raises `Refusal`."""
        kept = command_id or new_id()
        return self._answer(lambda: self.begin(name, args, kept))

    def begin(self, name: str, args: Frame, command_id: str | None = None) -> int:
        """Sends a command; the request whose reply to wait for."""
        request = self.next_request()
        frame = {"op": "command", "request": request, "id": command_id or new_id(), "name": name}
        self.send({**frame, "args": args, "rawArgs": encode(args)})
        return request

    def query(self, name: str, args: Frame) -> Any:
        def begin() -> int:
            request = self.next_request()
            self.send({"op": "query", "request": request, "name": name, "args": args})
            return request

        return self._answer(begin)

    def _answer(self, begin: Callable[[], int]) -> Any:
        """8.4: after an error of the moment the same is sent again, with full jitter."""
        for attempt in range(TRIES - 1):
            try:
                return self.reply(begin())
            except Refusal as refusal:
                if refusal.code not in ("unavailable", "unknown_outcome", "internal"):
                    raise
                time.sleep(random.uniform(0, min(10, 0.25 * 2**attempt)))
        return self.reply(begin())

    def reply(self, request: int) -> Any:
        if request not in self._replies:
            self.wait(lambda frame: frame["op"] == "reply" and frame["request"] == request)
        frame = self._replies.pop(request)
        if frame["error"] is not None:
            raise Refusal(frame["error"])
        return frame["result"]

    # ----------------------------------------------------------------------------------------------------- chats

    def create(self, **args: Any) -> str:
        created = self.command("chats.create", args)
        return str(uuid.UUID(bytes=created["chat"]["id"]))

    def say(self, chat: str, text: str, **args: Any) -> Frame:
        """`chat.send` with one part; ids of the result in text form."""
        content = [{"type": "text", "text": text}]
        sent = self.command("chat.send", {"chat": id_bytes(chat), "content": content, **args})
        return {**sent, "turn": str(uuid.UUID(bytes=sent["turn"]))}

    def attach(self, chat: str, state: ChatState | None = None) -> tuple[str, ChatState]:
        """Attaches with the cursor of the state; the outcome, when it is whole. Raises `Refusal`."""
        known = self.chats[chat] = ChatState() if state is None else state
        cursor = None if known.cursor is None else dict(zip(("epoch", "seq"), known.cursor, strict=True))
        self.send({"op": "attach", "chat": chat, "cursor": cursor})

        def answers(frame: Frame) -> bool:
            whole = frame["op"] == "attached" and frame.get("piece", {"last": True})["last"]
            return bool((whole or frame["op"] == "refused") and frame["chat"] == chat)

        answer = self.wait(answers)
        if answer["op"] == "refused":
            raise Refusal(answer["error"])
        return answer["outcome"], known

    def until(self, test: Callable[[], bool]) -> None:
        """Handles frames until the test holds."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not test():
            self.pump(deadline - time.monotonic())

    def turn_ended(self, chat: str, turn: str) -> Frame:
        """Waits for the end of a turn; the event."""

        def ends(frame: Frame) -> bool:
            event = frame.get("event", {})
            return event.get("kind") == "turn" and event["type"] == "ended" and event["turn"] == turn

        state = self.chats[chat]
        if state.last_turn is not None and state.last_turn["turn"] == turn:
            return state.last_turn
        ended: Frame = self.wait(ends)["event"]
        return ended

    # ------------------------------------------------------------------------------------------------- receiving

    def wait(self, test: Callable[[Frame], bool]) -> Frame:
        """The next frame that fits; those before it are handled."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            for frame in self.pump(deadline - time.monotonic()):
                if test(frame):
                    return frame

    def closed(self) -> Closed:
        """Handles what comes until the connection is over; how it ended."""
        try:
            self.until(lambda: False)
        except Closed as end:
            return end
        raise AssertionError("the connection goes on")

    def pump(self, timeout: float = WAIT_SECONDS) -> list[Frame]:
        """Handles one message; its frames."""
        if timeout <= 0:
            raise TimeoutError("what was waited for did not come")
        message = self.socket.receive(timeout)
        self._keep_bodies(message)
        frames = decode_server(message)
        for frame in frames:
            self._handle(frame)
        self.frames.extend(frames)
        return frames

    def _keep_bodies(self, message: bytes) -> None:
        reader = Reader(message)
        while not reader.done:
            fields, raw = reader.frame()
            if fields[0] == 34:
                self.bodies[fields[1]] = raw[3]

    def _handle(self, frame: Frame) -> None:
        match frame["op"]:
            case "reply":
                self._replies[frame["request"]] = frame
            case "attached" if frame["chat"] in self.chats:
                if self.chats[frame["chat"]].attached(frame):
                    self.send({"op": "more", "chat": frame["chat"]})
            case "event" | "skipped" if frame["chat"] in self.chats:
                self.chats[frame["chat"]].event(frame)
            case "feed" if self.feed is not None:
                self.feed.apply(frame)
            case "heartbeat":
                for chat, position in frame["positions"]:
                    if chat in self.chats and self.chats[chat].cursor != pair(position):
                        raise Gap(f"the heartbeat says {position}")
                if self.feed is not None and frame.get("feed", self.feed.cursor) != self.feed.cursor:
                    raise Gap(f"the heartbeat says {frame['feed']} of the feed")
