"""Frames (SPEC.md, sections 3 and 6): from bytes to the form in which the vectors write them down, and back.

A frame is a dict with its op in words and its fields by name; an id is its text form, a position {epoch, seq}.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from catalogue import ERROR_RETRY, OUTCOMES, ROLES, STATUSES
from values import BadFrame, Limits, Reader, SERVER_LIMITS, WHOLE_MAX, encode

Frame = dict[str, Any]

MESSAGE_BYTES_MAX = 262144
FRAMES_PER_MESSAGE = 256
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


# ---------------------------------------------------------------------------------------------------------- fields


def whole(value: Any) -> int:
    """A whole number; 2.4: it may come as a float."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= WHOLE_MAX:
        raise BadFrame(f"{value!r} is not a whole number")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadFrame(f"{value!r} is not text")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadFrame(f"{value!r} is not a bool")
    return value


def ident(value: Any) -> str:
    if not isinstance(value, bytes) or len(value) != 16:
        raise BadFrame(f"{value!r} is not an id")
    return str(uuid.UUID(bytes=value))


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFrame(f"{value!r} is not a map")
    return value


def array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadFrame(f"{value!r} is not an array")
    return value


def position(value: Any) -> Frame:
    epoch, seq, *_ = [*array(value), None, None]
    return {"epoch": whole(epoch), "seq": whole(seq)}


def or_nil(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def each(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda value: [read(item) for item in array(value)]


def shape(**keys: Callable[[Any], Any]) -> Callable[[Any], Frame]:
    """A map with these keys, the others ignored (2.10). A key that ends with `_` may be absent."""

    def read(value: Any) -> Frame:
        given = mapping(value)
        known: Frame = {}
        for key, field in keys.items():
            name = key.rstrip("_")
            if name in given or name == key:
                known[name] = field(given.get(name))
        return known

    return read


def word(known: tuple[str, ...], otherwise: str) -> Callable[[Any], str]:
    """2.11: a word of a list that may grow."""
    return lambda value: value if text(value) in known else otherwise


# --------------------------------------------------------------------------------------------------------- content


def error(value: Any) -> Frame:
    given = mapping(value)
    code, retry = text(given.get("code")), text(given.get("retry"))
    known: Frame = {
        "code": code if code in ERROR_RETRY else "internal",
        "message": text(given.get("message")),
        "retry": retry if retry in ("never", "now", "later") else "later",
    }
    if given.get("retry_after_ms") is not None:
        known["retry_after_ms"] = whole(given["retry_after_ms"])
    return known


TOOL_STATUS = word(("ok", "error", "denied", "timeout", "interrupted", "unknown"), "unknown")


def part(value: Any) -> Frame:
    given = mapping(value)
    kind = given.get("type")
    if kind not in ("text", "reasoning", "tool_call", "tool_result"):
        return {"type": "text", "text": ""}
    body: Frame = {"text": text(given["text"])} if "text" in given else {"bytes": whole(given.get("bytes"))}
    if kind == "tool_call":
        body |= {"call": text(given.get("call")), "name": text(given.get("name"))}
    if kind == "tool_result":
        body |= {"call": text(given.get("call")), "status": TOOL_STATUS(given.get("status"))}
    return {"type": kind, **body}


USAGE = shape(
    input_tokens=whole, output_tokens=whole, cache_read_tokens=whole, cache_write_tokens=whole, estimated=flag
)
MESSAGE = shape(
    number=whole,
    id=ident,
    role=word(ROLES, "system"),
    parts=each(part),
    created_at=whole,
    created_by_=text,
    model_=text,
    turn_=ident,
    step_=whole,
    interrupted_=flag,
    usage_=USAGE,
)
QUEUED = shape(id=ident, parts=each(part), created_by=text, created_at=whole, steer_=flag, held_until_=whole)
LAST_TURN = shape(turn=ident, outcome=word(OUTCOMES, "completed"), error=or_nil(error))
CHAT = shape(
    id=ident,
    owner=text,
    parent=or_nil(ident),
    root=ident,
    title=or_nil(text),
    status=word(STATUSES, "waiting"),
    archived=flag,
    model=text,
    last_error=or_nil(error),
    last_turn=or_nil(LAST_TURN),
    labels=lambda value: {key: text(label) for key, label in mapping(value).items()},
    created_at=whole,
    updated_at=whole,
)
SUMMARY_KEYS = shape(read=or_nil(whole), unread=or_nil(whole))
SOURCES = ("automatic", "manual", "overflow")
BLOCK_TYPE = word(("text", "reasoning", "tool_call"), "reasoning")
LIVE_BLOCK = shape(index=whole, type=BLOCK_TYPE, text=text, bytes=whole, ended=flag)
CALL_NAME = shape(call=text, name=text)
LIVE_CALL = shape(call=text, name=text, text=text, bytes=whole, status=or_nil(TOOL_STATUS))
ACTION = shape(type=text, call=text, name=text, args=text, deadline_at=whole, hash=text)


def live_block(value: Any) -> Frame:
    block = LIVE_BLOCK(value)
    return {**block, "call": CALL_NAME(value)} if block["type"] == "tool_call" else block


def actions(value: Any) -> list[Frame]:
    """Those of a later version cannot be answered."""
    return [action for action in each(ACTION)(value) if action["type"] in ("result", "approval")]


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: [] if value is None else read(value)


LIVE_RETRY = shape(attempt=whole, delay_ms=whole, at=whole, error=error)
LIVE_COMPACTION = shape(
    source=word(SOURCES, "automatic"), context_tokens=or_nil(whole), context_limit_tokens=or_nil(whole)
)
LIVE = shape(
    turn=ident,
    model=text,
    step=whole,
    attempt=whole,
    blocks=each(live_block),
    retry=or_nil(LIVE_RETRY),
    usage=or_nil(USAGE),
    calls=optional(each(LIVE_CALL)),
    actions=optional(actions),
    compaction=or_nil(LIVE_COMPACTION),
)
HEAD = shape(
    drop_older=flag,
    disowned=flag,
    retracted=or_nil(position),
    removed=each(lambda value: [whole(value[0]), whole(value[1])]),
    has_older=flag,
    chat=CHAT,
    queue=each(QUEUED),
    live=or_nil(LIVE),
)


def piece(value: Any) -> Frame:
    last, head, messages, live, calls, *_ = [*array(value), None, None, None, None, None]
    delta = each(lambda one: [whole(one[0]), whole(one[1]), text(one[2])])
    return {
        "last": flag(last),
        "head": or_nil(HEAD)(head),
        "messages": each(MESSAGE)(messages),
        "live": delta(live),
        "calls": optional(delta)(calls),
    }


# ---------------------------------------------------------------------------------------------------------- events


def event(kind: int, payload: Any) -> Frame | None:
    """None: a kind, or a form of one, that this client does not know; its position counts all the same (2.10)."""
    match kind:
        case 2:
            return {"kind": "chat", "chat": CHAT(payload)}
        case 3:
            return {"kind": "message", "message": MESSAGE(payload)}
        case 5:
            return {"kind": "queue", "queue": each(QUEUED)(payload)}
        case 11:
            return {"kind": "action", "actions": actions(payload)}
        case 9 if whole([*array(payload), None][0]) == 0:
            return _block_start(array(payload))
    form = _FORMS.get((kind, None))
    fields = payload
    if form is None and kind in (6, 7, 9, 10, 12):
        form = _FORMS.get((kind, whole([*array(payload), None][0])))
        fields = array(payload)[1:]
    if form is None:
        return None
    known, reads = form
    fields = [*array(fields), *[None] * len(reads)]
    return {**known, **{name: read(fields[i]) for i, (name, read) in enumerate(reads.items())}}


def _block_start(fields: list[Any]) -> Frame:
    _, step, index, kind, *rest = [*fields, None, None, None]
    block = {0: "text", 2: "tool_call"}.get(whole(kind), "reasoning")
    call = {"call": {"call": text(rest[0]), "name": text(rest[1])}} if block == "tool_call" else {}
    return {"kind": "block", "type": "start", "step": whole(step), "index": whole(index), "block": block, **call}


FORKS = ("compaction", "edit", "model", "tools", "clear", "reasoning")
_Form = tuple[Frame, dict[str, Callable[[Any], Any]]]
_ATTEMPT: dict[str, Callable[[Any], Any]] = {"turn": ident, "step": whole, "attempt": whole}
_BLOCK: dict[str, Callable[[Any], Any]] = {"step": whole, "index": whole}
_TOOL: dict[str, Callable[[Any], Any]] = {"step": whole, "call": text}
_FORMS: dict[tuple[int, int | None], _Form] = {
    (1, None): ({"kind": "epoch"}, {"after": or_nil(position)}),
    (4, None): ({"kind": "rewind"}, {"from": whole, "to": whole}),
    (6, 0): ({"kind": "turn", "type": "started"}, {"turn": ident, "model": text}),
    (6, 1): (
        {"kind": "turn", "type": "ended"},
        {"turn": ident, "outcome": word(OUTCOMES, "completed"), "error": or_nil(error)},
    ),
    (7, 0): ({"kind": "step", "type": "started"}, _ATTEMPT),
    (7, 1): ({"kind": "step", "type": "reset"}, _ATTEMPT),
    (8, None): ({"kind": "retry"}, {**_ATTEMPT, "delay_ms": whole, "at": whole, "error": error}),
    (9, 1): ({"kind": "block", "type": "delta"}, {**_BLOCK, "offset": whole, "text": text}),
    (9, 2): ({"kind": "block", "type": "end"}, {**_BLOCK, "bytes": whole}),
    (10, 0): ({"kind": "tool", "type": "started"}, {**_TOOL, "name": text}),
    (12, 0): (
        {"kind": "compaction", "type": "started"},
        {
            "turn": ident,
            "source": word(SOURCES, "automatic"),
            "context_tokens": or_nil(whole),
            "context_limit_tokens": or_nil(whole),
        },
    ),
    (12, 1): (
        {"kind": "compaction", "type": "ended"},
        {
            "turn": ident,
            "outcome": word(("compacted", "cut", "failed"), "compacted"),
            "context_tokens": or_nil(whole),
            "left_tokens": or_nil(whole),
        },
    ),
    (10, 1): ({"kind": "tool", "type": "progress"}, {**_TOOL, "offset": whole, "text": text}),
    (10, 2): ({"kind": "tool", "type": "settled"}, {**_TOOL, "status": TOOL_STATUS}),
    (15, None): ({"kind": "fork"}, {"reason": word(FORKS, "edit")}),
    (13, None): ({"kind": "usage"}, {**_ATTEMPT, "usage": USAGE}),
}


# ------------------------------------------------------------------------------------------- what a server sends


def decode_server(message: bytes) -> list[Frame]:
    """The frames of a server's message; ops that this client does not know are left out."""
    frames = [_server_frame(fields) for fields, _ in _each_frame(message, Limits())]
    return [frame for frame in frames if frame is not None]


def _each_frame(message: bytes, limits: Limits) -> list[tuple[list[Any], list[bytes]]]:
    reader = Reader(message, limits)
    found = []
    while not reader.done or not found:
        found.append(reader.frame())
    return found


def _server_frame(fields: list[Any]) -> Frame | None:
    op, *given = [*fields, *[None] * 8] if fields else [None]
    match whole(op):
        case 33:
            limits = array(given[6])
            return {
                "op": "welcome",
                "version": whole(given[0]),
                "session": text(given[1]),
                "node": text(given[2]),
                "owner": text(given[3]),
                "heartbeatMs": whole(given[4]),
                "expiresAtMs": whole(given[5]),
                "limits": dict(zip(("messageBytes", "attachments", "requests"), map(whole, limits[:3]), strict=True)),
            }
        case 34:
            ok = flag(given[1])
            result, failure = (given[2], None) if ok else (None, error(given[2]))
            return {"op": "reply", "request": whole(given[0]), "result": result, "error": failure}
        case 35:
            return _attached(given)
        case 36:
            seq, span = whole(given[2]), whole(given[3])
            if not 1 <= span <= seq:
                raise BadFrame("a span that leads out of its epoch")
            at = {"chat": ident(given[0]), "position": {"epoch": whole(given[1]), "seq": seq}, "span": span}
            known = event(whole(given[4]), given[5])
            return {"op": "skipped", **at} if known is None else {"op": "event", **at, "event": known}
        case 38:
            stands = [[ident(one[0]), position(one[1:])] for one in each(array)(given[1])]
            feed = {} if given[2] is None else {"feed": whole(given[2])}
            return {"op": "heartbeat", "nowMs": whole(given[0]), "positions": stands, **feed}
        case 37:
            return _feed(given)
        case 39:
            return {"op": "drain", "afterMs": whole(given[0])}
        case 40:
            return {"op": "bye", "code": whole(given[0]), "reason": text(given[1])}
        case 41:
            return {"op": "refused", "chat": ident(given[0]), "error": error(given[1])}
    return None


def _feed(given: list[Any]) -> Frame:
    known = {"op": "feed", "from": or_nil(whole)(given[0]), "cursor": whole(given[1]), "more": flag(given[2])}
    if known["cursor"] < (known["from"] or 0):
        raise BadFrame("a feed that goes back")
    return {**known, "chats": [summary(chat) for chat in array(given[3])]}


def summary(value: Any) -> Frame:
    """A chat as lists and the feed show it (7.6)."""
    return {**CHAT(value), **SUMMARY_KEYS(value)}


def _attached(given: list[Any]) -> Frame:
    known: Frame = {"op": "attached", "chat": ident(given[0]), "outcome": text(given[1])}
    match known["outcome"]:
        case "gone":
            return {**known, "position": None}
        case "resumed":
            return {**known, "position": position(given[2:4])}
        case "snapshot":
            return {**known, "position": position(given[2:4]), "piece": piece(given[4])}
    raise BadFrame(f"an unknown outcome of attached: {known['outcome']}")


# ------------------------------------------------------------------------------------------- what a client sends


def decode_client(message: bytes) -> tuple[list[Frame], BadFrame | None]:
    """As a server reads it: the frames before the first fault, and the fault."""
    frames: list[Frame] = []
    try:
        if len(message) > MESSAGE_BYTES_MAX:
            raise BadFrame("a message over the limit", "too_large")
        whole_frames, fault = _scan(message)
        for fields, raw in whole_frames:
            frames.append(_client_frame(fields, raw))
        if fault is not None:
            raise fault
    except BadFrame as caught:
        return frames, caught
    return frames, None


def _scan(message: bytes) -> tuple[list[tuple[list[Any], list[bytes]]], BadFrame | None]:
    reader = Reader(message, SERVER_LIMITS)
    found: list[tuple[list[Any], list[bytes]]] = []
    try:
        while not reader.done or not found:
            if len(found) == FRAMES_PER_MESSAGE:
                raise BadFrame("too many frames")
            found.append(reader.frame())
    except BadFrame as fault:
        return found, fault
    return found, None


def _client_frame(fields: list[Any], raw: list[bytes]) -> Frame:
    op, *given = [*fields, *[None] * 5] if fields else [None]
    match whole(op):
        case 1:
            credential, client = limited(given[1], 8192), limited(given[2], 64)
            return {"op": "hello", "version": whole(given[0]), "credential": credential, "client": client}
        case 2:
            return {"op": "auth", "request": whole(given[0]), "credential": limited(given[1], 8192)}
        case 3:
            return {"op": "attach", "chat": ident(given[0]), "cursor": or_nil(position)(given[1])}
        case 4:
            return {"op": "more", "chat": ident(given[0])}
        case 5:
            return {"op": "detach", "chat": ident(given[0])}
        case 6:
            known = {"op": "command", "request": whole(given[0]), "id": ident(given[1]), "name": text(given[2])}
            traced = isinstance(given[4], str) and TRACEPARENT.fullmatch(given[4])
            trace = {"trace": given[4]} if traced else {}
            return {**known, "args": mapping(given[3]), "rawArgs": raw[4], **trace}
        case 7:
            return {"op": "query", "request": whole(given[0]), "name": text(given[1]), "args": mapping(given[2])}
        case 8:
            return {"op": "ping"}
        case 9:
            return {"op": "watch", "request": whole(given[0]), "cursor": or_nil(whole)(given[1])}
        case 10:
            return {"op": "unwatch"}
        case number:
            return {"op": "unknown", "number": number}


def limited(value: Any, bytes_max: int) -> str:
    if len(text(value).encode()) > bytes_max:
        raise BadFrame("text over its limit", "too_large")
    return str(value)


def id_bytes(value: str) -> bytes:
    return uuid.UUID(value).bytes


def encode_client(frame: Frame) -> bytes:
    """The bytes of a frame; the args of a command are `rawArgs` where it has them, so that a retry has the same bytes."""
    match frame["op"]:
        case "hello":
            return encode([1, frame["version"], frame["credential"], frame["client"]])
        case "auth":
            return encode([2, frame["request"], frame["credential"]])
        case "attach":
            cursor = frame["cursor"]
            return encode([3, id_bytes(frame["chat"]), None if cursor is None else [cursor["epoch"], cursor["seq"]]])
        case "more":
            return encode([4, id_bytes(frame["chat"])])
        case "detach":
            return encode([5, id_bytes(frame["chat"])])
        case "command":
            head = [6, frame["request"], id_bytes(frame["id"]), frame["name"]]
            args = frame.get("rawArgs", encode(frame["args"]))
            trace = [encode(frame["trace"])] if "trace" in frame else []
            return bytes([0x90 | 5 + len(trace)]) + b"".join([*map(encode, head), args, *trace])
        case "query":
            return encode([7, frame["request"], frame["name"], frame["args"]])
        case "ping":
            return encode([8])
        case "watch":
            return encode([9, frame["request"], frame["cursor"]])
        case "unwatch":
            return encode([10])
    raise ValueError(f"no op of a client: {frame['op']}")
