"""A connection that has become a WebSocket, as `pump` takes it: messages in, binary messages out.

Source: RFC 6455.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Final

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.http import Duplex, Request

__all__ = ["WebSocket", "upgrade"]

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL: Final = 0x80
_MASKED: Final = 0x80
_MOST_BYTES: Final = 1 << 20
_PROTOCOL_ERROR, _TOO_BIG = 1002, 1009


async def upgrade(request: Request) -> WebSocket:
    """Answer the client's handshake. Raises InvalidArgument for a request that is none."""
    headers = request.headers
    words = headers.get("connection", "").lower().replace(",", " ").split()
    key = headers.get("sec-websocket-key", "")
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in words or not key:
        raise InvalidArgument("not websocket protocol")
    if headers.get("sec-websocket-version") != "13":
        raise InvalidArgument("missing or bad WebSocket Version")
    accept = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode()).digest()).decode()
    duplex = await request.connection.upgrade(
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    )
    return WebSocket(duplex)


class WebSocket:
    """The server's side, after the handshake."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._received = bytearray()
        self._is_closing = False

    async def read(self) -> bytes:
        """The next piece of a message, not empty; b"" once the client has said that it leaves."""
        while not self._is_closing:
            frame = await self._frame()
            if frame is None:
                break
            kind, payload = frame
            if kind in (_CONTINUATION, _TEXT, _BINARY):
                if payload:
                    return payload
            elif kind == _PING:
                await self._send(_PONG, payload)
            elif kind == _CLOSE:
                await self._leave(payload[:2])
            elif kind != _PONG:
                await self._leave(struct.pack(">H", _PROTOCOL_ERROR))
        return b""

    async def write(self, data: bytes) -> None:
        await self._send(_BINARY, data)

    async def until_hung_up(self) -> None:
        """Who says that it leaves reads no more."""
        if not self._is_closing:
            await self._duplex.until_hung_up()

    async def close(self) -> None:
        try:
            await self._leave(struct.pack(">H", 1000))
        except ConnectionError:
            pass
        finally:
            await self._duplex.close()

    async def _leave(self, payload: bytes) -> None:
        if not self._is_closing:
            self._is_closing = True
            await self._send(_CLOSE, payload)

    async def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", _FINAL | kind, size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", _FINAL | kind, 126, size)
        else:
            head = struct.pack(">BBQ", _FINAL | kind, 127, size)
        await self._duplex.write(head + payload)

    async def _frame(self) -> tuple[int, bytes] | None:
        """Kind and payload; None at the end, and for what is no frame of a client's."""
        head = await self._exactly(2)
        if head is None:
            return None
        kind, size = head[0] & 0x0F, head[1] & 0x7F
        if not head[1] & _MASKED or head[0] & 0x70:
            await self._leave(struct.pack(">H", _PROTOCOL_ERROR))
            return None
        if size >= 126:
            longer = await self._exactly(2 if size == 126 else 8)
            if longer is None:
                return None
            size = int.from_bytes(longer)
        if size > _MOST_BYTES:
            await self._leave(struct.pack(">H", _TOO_BIG))
            return None
        mask, payload = await self._exactly(4), await self._exactly(size)
        if mask is None or payload is None:
            return None
        return kind, _unmasked(payload, mask)

    async def _exactly(self, size: int) -> bytes | None:
        while len(self._received) < size:
            data = await self._duplex.read()
            if not data:
                return None
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(whole)).to_bytes(size)
