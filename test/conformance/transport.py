"""WebSocket (RFC 6455) for a client: the upgrade, masked messages, fragments, pings and the close. No extensions."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from urllib.parse import urlsplit

SUBPROTOCOL = "parley.v1"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Closed(Exception):
    """The connection is over; `code` is that of the close frame, 1006 without one."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}")
        self.code = code
        self.reason = reason


class WebSocket:
    """One connection. `receive` blocks until a whole message is there, the time is over, or the connection is."""

    def __init__(self, url: str, *, timeout: float = 30.0, receive_buffer: int | None = None) -> None:
        parts = urlsplit(url)
        self._buffer = b""
        self._fragments: list[bytes] = []
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(timeout)
        self._socket.connect((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upgrade(parts.netloc, parts.path)

    def send(self, payload: bytes, opcode: int = 2) -> None:
        """One message. Clients mask what they send (RFC 6455, 5.3)."""
        mask = os.urandom(4)
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 65536:
            size = b"\xfe" + struct.pack(">H", length)
        else:
            size = b"\xff" + struct.pack(">Q", length)
        key = (mask * (length // 4 + 1))[:length]
        masked = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(length)
        self._socket.sendall(bytes([0x80 | opcode]) + size + mask + masked)

    def receive(self, timeout: float = 30.0) -> bytes:
        """The next message. Raises `Closed`, or `TimeoutError`, after which the connection can go on being used."""
        self._socket.settimeout(timeout)
        while True:
            fin, opcode, payload = self._frame()
            match opcode:
                case 8:
                    code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                    self.cut()
                    raise Closed(code, payload[2:].decode("utf-8", "replace"))
                case 9:
                    self.send(payload, opcode=10)
                case 0 | 2:
                    self._fragments.append(payload)
                    if fin:
                        message = b"".join(self._fragments)
                        self._fragments = []
                        return message

    def cut(self) -> None:
        """Ends the connection without a word, as a lost network does."""
        self._socket.close()

    def _upgrade(self, host: str, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status, *given = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in given)}
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        if " 101 " not in status or headers.get("sec-websocket-accept") != accept:
            raise ConnectionError(f"the upgrade was refused: {status}")
        if headers.get("sec-websocket-protocol") != SUBPROTOCOL:
            raise ConnectionError("the server selected another subprotocol")

    def _frame(self) -> tuple[bool, int, bytes]:
        """Read whole before any of it is taken, so that a time-out loses nothing."""
        self._have(2)
        first, short = self._buffer[0], self._buffer[1]
        at = {126: 4, 127: 10}.get(short, 2)
        self._have(at)
        length = short if at == 2 else int.from_bytes(self._buffer[2:at])
        if short & 0x80 or first & 0x70 or length > MESSAGE_BYTES_MAX:
            raise ConnectionError("a frame that a server of this protocol does not send")
        self._have(at + length)
        payload, self._buffer = self._buffer[at : at + length], self._buffer[at + length :]
        return bool(first & 0x80), first & 0x0F, payload

    def _have(self, length: int) -> None:
        while len(self._buffer) < length:
            self._more()

    def _more(self) -> None:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Closed(1006) from error
        if not data:
            raise Closed(1006)
        self._buffer += data
