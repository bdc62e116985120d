"""MessagePack as far as the protocol has it (SPEC.md, section 2): every form is read, the shortest one is written."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

WHOLE_MAX = 2**53 - 1


class BadFrame(Exception):
    """Bytes that break the rules of the protocol; `code` is the one of section 9 that a server would answer with."""

    def __init__(self, message: str, code: str = "bad_frame") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Limits:
    """What one value may be (2.9). A server's are those of SPEC.md; a client only guards its own stack."""

    depth: int = 64
    items: int = 1 << 24
    string_bytes: int = 1 << 24


SERVER_LIMITS = Limits(depth=32, items=4096, string_bytes=65536)


class Reader:
    """Reads one value after the other from a message."""

    def __init__(self, data: bytes, limits: Limits = Limits()) -> None:
        self.data = data
        self.at = 0
        self.limits = limits
        self._items = 0
        self._depth = 0

    @property
    def done(self) -> bool:
        return self.at >= len(self.data)

    def frame(self) -> tuple[list[Any], list[bytes]]:
        """A frame: its fields, op first, and the bytes of each, which is what the args of a command are compared by."""
        self._items = 0
        start = self.at
        if not self.done and (self.data[start] & 0xF0 == 0x90 or self.data[start] in (0xDC, 0xDD)):
            raw: list[bytes] = []
            fields = self._array(self._array_length(self._byte()), raw)
            return fields, raw
        self.value()
        raise BadFrame("a frame is an array")

    def value(self) -> Any:
        head = self._byte()
        if head < 0x80:
            return head
        if head < 0x90:
            return self._map(head & 0x0F)
        if head < 0xA0:
            return self._array(head & 0x0F)
        if head < 0xC0:
            return self._str(head & 0x1F)
        if head >= 0xE0:
            return head - 0x100
        match head:
            case 0xC0:
                return None
            case 0xC2 | 0xC3:
                return head == 0xC3
            case 0xC4 | 0xC5 | 0xC6:
                return self._take(self._bounded(self._uint(1 << (head - 0xC4))))
            case 0xCA:
                return float(struct.unpack(">f", self._take(4))[0])
            case 0xCB:
                return float(struct.unpack(">d", self._take(8))[0])
            case 0xCC | 0xCD | 0xCE | 0xCF:
                return self._whole(self._uint(1 << (head - 0xCC)))
            case 0xD0 | 0xD1 | 0xD2 | 0xD3:
                return self._whole(int.from_bytes(self._take(1 << (head - 0xD0)), signed=True))
            case 0xD9 | 0xDA | 0xDB:
                return self._str(self._uint(1 << (head - 0xD9)))
            case 0xDC | 0xDD:
                return self._array(self._array_length(head))
            case 0xDE | 0xDF:
                return self._map(self._uint(2 if head == 0xDE else 4))
        raise BadFrame(f"the byte {head:02x} begins no value of the protocol")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise BadFrame("the message ends inside a value")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _uint(self, size: int) -> int:
        return int.from_bytes(self._take(size))

    def _whole(self, number: int) -> int:
        if abs(number) > WHOLE_MAX:
            raise BadFrame("a whole number beyond 2^53")
        return number

    def _bounded(self, length: int) -> int:
        if length > self.limits.string_bytes:
            raise BadFrame("a str or bin over the limit")
        return length

    def _str(self, length: int) -> str:
        raw = self._take(self._bounded(length))
        try:
            text = raw.decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise BadFrame("text that is not UTF-8", "bad_text") from error
        if "\0" in text:
            raise BadFrame("text with NUL", "bad_text")
        return text

    def _array_length(self, head: int) -> int:
        return head & 0x0F if head < 0xA0 else self._uint(2 if head == 0xDC else 4)

    def _enter(self, items: int) -> None:
        self._depth += 1
        self._items += items
        if self._depth > self.limits.depth:
            raise BadFrame("too many levels")
        if self._items > self.limits.items or items > len(self.data) - self.at:
            raise BadFrame("too many items")

    def _array(self, length: int, raw: list[bytes] | None = None) -> list[Any]:
        self._enter(length)
        values: list[Any] = []
        for _ in range(length):
            start = self.at
            values.append(self.value())
            if raw is not None:
                raw.append(self.data[start : self.at])
        self._depth -= 1
        return values

    def _map(self, length: int) -> dict[str, Any]:
        self._enter(2 * length)
        values: dict[str, Any] = {}
        for _ in range(length):
            key = self.value()
            if not isinstance(key, str) or key == "__proto__":
                raise BadFrame("a key of a map is text")
            values[key] = self.value()
        self._depth -= 1
        return values


def encode(value: Any) -> bytes:
    """The bytes of a value."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _encode_int(value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            raw = value.encode()
            return _header(len(raw), 0xA0, 32, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + raw
        case bytes():
            return _header(len(value), 0, 0, {1: 0xC4, 2: 0xC5, 4: 0xC6}) + value
        case list() | tuple():
            return _header(len(value), 0x90, 16, {2: 0xDC, 4: 0xDD}) + b"".join(map(encode, value))
        case dict():
            entries = b"".join(encode(key) + encode(entry) for key, entry in value.items())
            return _header(len(value), 0x80, 16, {2: 0xDE, 4: 0xDF}) + entries
    raise TypeError(f"{type(value)} is not a type of the protocol")


def _header(length: int, short: int, short_max: int, longer: dict[int, int]) -> bytes:
    if length < short_max:
        return bytes([short | length])
    size = next(size for size in longer if length < 1 << (8 * size))
    return bytes([longer[size]]) + length.to_bytes(size)


def _encode_int(number: int) -> bytes:
    if -32 <= number < 128:
        return struct.pack("b" if number < 0 else "B", number)
    if number < 0:
        size = next(size for size in (1, 2, 4, 8) if number >= -(1 << (8 * size - 1)))
        return bytes([{1: 0xD0, 2: 0xD1, 4: 0xD2, 8: 0xD3}[size]]) + number.to_bytes(size, signed=True)
    size = next(size for size in (1, 2, 4, 8) if number < 1 << (8 * size))
    return bytes([{1: 0xCC, 2: 0xCD, 4: 0xCE, 8: 0xCF}[size]]) + number.to_bytes(size)
