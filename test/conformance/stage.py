"""What the scenarios share: the server under test, credentials for anybody, and how they say what they expect."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable
from typing import Any

from catalogue import ERROR_RETRY
from client import Client, Refusal

URL = os.environ.get("PARLEY_URL", "")
SECRET = os.environ.get("PARLEY_JWT_SECRET", "")

Scenario = Callable[[], None]


def credential(subject: str, *, seconds: float = 3600, role: str | None = None) -> str:
    """A JSON Web Token (RFC 7519, HS256), as the application that owns the users issues it."""
    claims = {"sub": subject, "exp": int(time.time() + seconds), **({} if role is None else {"role": role})}
    head = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{head}.{_base64(hmac.digest(SECRET.encode(), head.encode(), hashlib.sha256))}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def visitor(subject: str, *, role: str | None = None, **options: Any) -> Client:
    """A live client of a subject that no other scenario uses."""
    return Client.live(URL, credential(subject, role=role), **options)


def expect(found: Any, wanted: Any, what: str) -> None:
    if found != wanted:
        raise AssertionError(f"{what}: {str(found)[:400]!r}, not {str(wanted)[:400]!r}")


def refused(code: str, ask: Callable[[], Any]) -> None:
    """`ask` ends with that error, and its `retry` is the one of the catalogue."""
    try:
        answer = ask()
    except Refusal as refusal:
        expect(refusal.code, code, refusal.error["message"])
        expect(refusal.error["retry"], ERROR_RETRY[code], f"retry of {code}")
        return
    raise AssertionError(f"not refused with {code}: {answer}")
