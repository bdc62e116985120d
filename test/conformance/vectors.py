"""The vectors (SPEC.md, section 12): what each message decodes to, and that what is forbidden is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from catalogue import PROTOCOL
from frames import Frame, decode_client, decode_server, encode_client
from values import BadFrame


def stored(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((PROTOCOL / "vectors" / f"{name}.json").read_text(encoding="utf-8"))
    if not vectors:
        raise AssertionError(f"{name}.json holds no vectors")
    return vectors


def message(vector: dict[str, Any]) -> bytes:
    repeat = vector.get("repeat", {"hex": "", "times": 0})
    return bytes.fromhex(vector["hex"] + repeat["hex"] * repeat["times"])


def plain(value: Any) -> Any:
    """As the files write it: bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def faults() -> Iterator[str]:
    """What does not hold, one line each."""
    for name in ("server", "events"):
        for vector in stored(name):
            yield from _differs(name, vector, decode_server(message(vector)))
    for vector in stored("client"):
        frames, fault = decode_client(message(vector))
        yield from _differs("client", vector, frames)
        if fault is not None:
            yield f"client: {vector['name']}: {fault}"
        known = [frame for frame in frames if frame["op"] != "unknown"]
        again, _ = decode_client(b"".join(map(encode_client, known)) or b"\x91\x08")
        if known and again != known:
            yield f"client: {vector['name']}: encodes to {again}"
    for vector in stored("client-negative"):
        frames, fault = decode_client(message(vector))
        yield from _differs("client-negative", vector, frames)
        if fault is None or fault.code != vector["error"]:
            yield f"client-negative: {vector['name']}: {fault.code if fault else 'taken'}, not {vector['error']}"
    for vector in stored("server-negative"):
        try:
            yield f"server-negative: {vector['name']}: taken as {decode_server(message(vector))}"
        except BadFrame:
            continue


def _differs(name: str, vector: dict[str, Any], frames: list[Frame]) -> Iterator[str]:
    if plain(frames) != vector["frames"]:
        yield f"{name}: {vector['name']}: {json.dumps(plain(frames))[:600]}, not {json.dumps(vector['frames'])[:600]}"
