"""What a client shows of one chat: a function of the events up to its cursor (SPEC.md, sections 5 and 6)."""

from __future__ import annotations

from typing import Any

from frames import Frame

Position = tuple[int, int]


class Gap(Exception):
    """Something is missing: the client attaches again with its cursor (6.4)."""


def pair(position: Frame) -> Position:
    return position["epoch"], position["seq"]


class ChatState:
    def __init__(self) -> None:
        self.cursor: Position | None = None
        self.chat: Frame | None = None
        self.messages: dict[int, Frame] = {}
        self.queue: list[Frame] = []
        self.turn: Frame | None = None
        self.retracted: Position | None = None
        self.has_older = False
        """Spans of the events that were applied, in order."""
        self.spans: list[int] = []
        self._pieces: list[Frame] = []

    @property
    def last_turn(self) -> Frame | None:
        return None if self.chat is None else self.chat["last_turn"]

    def shared(self) -> Any:
        """What two clients at the same cursor agree on, in spite of other ways to it."""
        return self.cursor, self.chat, sorted(self.messages.items()), self.queue, self.turn

    def text(self, turn: str) -> str:
        """What the model has said in a turn so far."""
        kept = [part for message in self._answers(turn) for part in message["parts"]]
        live = list(self.turn["blocks"].values()) if self.turn is not None and self.turn["turn"] == turn else []
        return "".join(part["text"] for part in [*kept, *live] if part["type"] == "text")

    def _answers(self, turn: str) -> list[Frame]:
        found = [message for message in self.messages.values() if message.get("turn") == turn]
        return sorted(found, key=lambda message: int(message["number"]))

    # ------------------------------------------------------------------------------------------------- attaching

    def attached(self, frame: Frame) -> bool:
        """Handles `attached`; true when another piece is to be pulled."""
        if frame["outcome"] == "gone":
            return False
        position = pair(frame["position"])
        piece = frame.get("piece")
        head = None if piece is None else piece["head"]
        if head is not None:
            self._pieces = []
        disowned = bool((head or (self._pieces[0]["head"] if self._pieces else {})).get("disowned"))
        if self.cursor is not None and position < self.cursor and not disowned:
            raise Gap("attached to a place below the cursor")
        if piece is None:
            self._pieces = []
            return False
        self._pieces.append(piece)
        if piece["last"]:
            self._show(position)
        return not piece["last"]

    def _show(self, position: Position) -> None:
        """A snapshot takes effect as a whole (5.5)."""
        pieces, self._pieces = self._pieces, []
        head = pieces[0]["head"]
        if head["drop_older"] or head["disowned"]:
            self.messages = {}
        if head["drop_older"] or self.cursor is None:
            self.has_older = head["has_older"]
        for first, last in head["removed"]:
            self._remove(first, last)
        for message in (message for piece in pieces for message in piece["messages"]):
            self.messages[message["number"]] = message
        self.chat, self.queue = head["chat"], head["queue"]
        self.retracted = None if head["retracted"] is None else pair(head["retracted"])
        live = head["live"]
        self.turn = live and {
            **live,
            "blocks": {block["index"]: dict(block) for block in live["blocks"]},
            "calls": [dict(call) for call in live["calls"]],
        }
        for index, offset, text in (delta for piece in pieces for delta in piece["live"]):
            append(self._known_block(index), offset, text)
        for place, offset, text in (delta for piece in pieces for delta in piece["calls"]):
            if self.turn is None:
                raise Gap("a call of no turn")
            append(self.turn["calls"][place], offset, text)
        self.cursor = position

    def _remove(self, first: int, last: int) -> None:
        self.messages = {number: m for number, m in self.messages.items() if not first <= number <= last}

    # ---------------------------------------------------------------------------------------------------- events

    def event(self, frame: Frame) -> bool:
        """Applies an event, or one that was skipped; false when it is dropped. Raises `Gap` (6.4, 6.5)."""
        if self.cursor is None:
            return False
        (epoch, last), (event_epoch, seq) = self.cursor, pair(frame["position"])
        if event_epoch < epoch or (event_epoch == epoch and seq <= last):
            return False
        known = frame.get("event")
        if event_epoch > epoch:
            after = known["after"] if known is not None and known["kind"] == "epoch" else None
            if after is None or pair(after) != self.cursor:
                raise Gap("another epoch")
        elif seq - frame["span"] > last:
            raise Gap("missed something")
        if known is not None:
            self._apply(known)
        self.cursor = (event_epoch, seq)
        self.spans.append(frame["span"])
        return True

    def _apply(self, event: Frame) -> None:
        match event["kind"]:
            case "chat":
                self.chat = event["chat"]
            case "message":
                self._message(event["message"])
            case "rewind":
                self._remove(event["from"], event["to"])
            case "queue":
                self.queue = event["queue"]
            case "turn":
                self._turn(event)
            case "step":
                turn = self._running(event)
                turn.update(blocks={}, retry=None, usage=None, calls=[], actions=[], compaction=None)
                if event["type"] == "started":
                    turn.update(step=event["step"], attempt=event["attempt"])
            case "retry":
                keys = ("attempt", "delay_ms", "at", "error")
                self._running(event)["retry"] = {key: event[key] for key in keys}
            case "block":
                self._block(event)
            case "tool":
                self._tool(event)
            case "action":
                if self.turn is None:
                    raise Gap("an action of no turn")
                self.turn["actions"] = event["actions"]
            case "compaction":
                if self.turn is None:
                    raise Gap("a compaction of no turn")
                keys = ("source", "context_tokens", "context_limit_tokens")
                started = event["type"] == "started"
                self.turn["compaction"] = {key: event[key] for key in keys} if started else None
            case "usage":
                if self.turn is not None and self.turn["turn"] == event["turn"]:
                    self.turn["usage"] = event["usage"]

    def _running(self, event: Frame) -> Frame:
        if self.turn is None or self.turn["turn"] != event["turn"]:
            raise Gap("a turn that does not run")
        return self.turn

    def _message(self, message: Frame) -> None:
        self.messages[message["number"]] = message
        turn = self.turn
        if turn is not None and turn["turn"] == message.get("turn") and turn["step"] == message.get("step"):
            turn["blocks"] = {}

    def _turn(self, event: Frame) -> None:
        if event["type"] == "ended":
            self.turn = None
            return
        rest = {"step": 0, "attempt": 0, "blocks": {}, "retry": None, "usage": None, "calls": [], "actions": []}
        rest["compaction"] = None
        self.turn = {"turn": event["turn"], "model": event["model"], **rest}

    # ---------------------------------------------------------------------------------------------------- blocks

    def _block(self, event: Frame) -> None:
        turn = self.turn
        if turn is None or turn["step"] != event["step"]:
            raise Gap("a block of another step")
        index = event["index"]
        match event["type"]:
            case "start":
                there = turn["blocks"].get(index)
                if there is None or there["type"] != event["block"]:
                    fresh = {"index": index, "type": event["block"], "text": "", "bytes": 0, "ended": False}
                    call = {"call": event["call"]} if "call" in event else {}
                    turn["blocks"][index] = {**fresh, **call}
            case "delta":
                append(self._known_block(index), event["offset"], event["text"])
            case "end":
                block = self._known_block(index)
                if block["bytes"] != event["bytes"]:
                    raise Gap("a block of another length")
                block["ended"] = True

    def _known_block(self, index: int) -> Frame:
        block: Frame | None = None if self.turn is None else self.turn["blocks"].get(index)
        if block is None:
            raise Gap("a block that has not started")
        return block

    # ----------------------------------------------------------------------------------------------------- tools

    def _tool(self, event: Frame) -> None:
        turn = self.turn
        if turn is None or turn["step"] != event["step"]:
            raise Gap("a call of another step")
        known = next((call for call in turn["calls"] if call["call"] == event["call"]), None)
        if event["type"] == "started":
            if known is None:
                fresh = {"call": event["call"], "name": event["name"], "text": "", "bytes": 0, "status": None}
                turn["calls"].append(fresh)
            return
        if known is None:
            raise Gap("a call that has not started")
        if event["type"] == "settled":
            known.update(text="", bytes=0, status=event["status"])
        else:
            append(known, event["offset"], event["text"])


def append(block: Frame, offset: int, text: str) -> None:
    """6.11: what is known already is skipped, in bytes of UTF-8."""
    if offset > block["bytes"]:
        raise Gap("a delta beyond the end of its block")
    fresh = text.encode()[block["bytes"] - offset :]
    block["text"] += fresh.decode()
    block["bytes"] += len(fresh)
