"""Calls of an engine's API by asyncio, so that thousands of them may be under way at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Calls", "Refused", "close", "head"]

_LINE_BYTES = 1 << 20


class Refused(AssertionError):
    """The engine's answer is an error."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Calls:
    """socket: of the engine."""

    socket: Path

    async def call(
        self, method: str, path: str, body: object = None, *, well: tuple[int, ...] = ()
    ) -> bytes:
        """The answer, with its head. well: statuses that will do. Raises Refused, OSError."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(_request(method, path, body, "Connection: close\r\n"))
            answer = await reader.read()
        finally:
            await close(writer)
        _check(method, path, answer, well)
        return answer

    @contextlib.asynccontextmanager
    async def streamed(self, path: str) -> AsyncIterator[asyncio.StreamReader]:
        """From when the answer has begun."""
        reader, writer = await self.opened("GET", path)
        try:
            yield reader
        finally:
            await close(writer)

    async def opened(
        self, method: str, path: str, body: object = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A call whose answer has begun and does not end. Raises Refused, OSError."""
        reader, writer = await asyncio.open_unix_connection(self.socket, limit=_LINE_BYTES)
        try:
            writer.write(_request(method, path, body))
            answer = await reader.readuntil(b"\r\n\r\n")
            if answer.split(b" ", 2)[1] not in (b"101", b"200"):
                answer += await asyncio.wait_for(reader.read(4096), 30)
            _check(method, path, answer, (101,))
        except BaseException:
            await close(writer)
            raise
        return reader, writer


def _request(method: str, path: str, body: object, more: str = "") -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    kind = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if data else ""
    return head(method, path, more + kind) + data


def _check(method: str, path: str, answer: bytes, well: tuple[int, ...]) -> None:
    if not answer:
        raise ConnectionResetError(f"{method} {path}: no answer")
    status = int(answer.split(b" ", 2)[1])
    if 200 <= status < 300 or status in well:
        return
    text = answer.partition(b"\r\n\r\n")[2]
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError):
        message = text[:300].decode(errors="replace")
    raise Refused(method, path, status, message)


def head(method: str, path: str, more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: load\r\n{more}\r\n".encode()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
