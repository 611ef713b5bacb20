"""The streams inside hijacked connections and logs: raw for a terminal, else framed.

A frame is 8 bytes (stream number, three zeros, length as a big-endian 32-bit number) and its data.
Source: Docker Engine API, "ContainerAttach", "Stream format".
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Collection
from typing import Protocol

from stackr.runtime.engine.container.io.detach import DetachKeys

__all__ = ["MULTIPLEXED", "RAW", "Attached", "Client", "content_type", "frame", "pump"]

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


class Attached(Protocol):
    """The standard streams of one process."""

    async def read(self) -> tuple[int, bytes] | None:
        """1 for standard output or 2 for standard error, and bytes; None at the end of both."""

    async def write(self, data: bytes) -> None:
        """Bytes for its standard input; dropped once it reads no more."""

    async def close_stdin(self) -> None:
        """Its standard input ends."""

    async def close(self) -> None:
        """Let go; the process goes on."""


def content_type(version: tuple[int, int], *, tty: bool) -> str:
    """What a stream is announced as; clients before 1.42 know one type only."""
    return RAW if tty or version < (1, 42) else MULTIPLEXED


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


class Client(Protocol):
    """A connection that carries raw bytes; see `Duplex`."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def until_hung_up(self) -> None: ...
    async def close(self) -> None: ...


async def pump(
    client: Client,
    process: Attached,
    *,
    stdin: bool,
    framed: bool,
    shown: Collection[int] = (1, 2),
    keys: bytes = b"",
) -> bool:
    """Move bytes both ways until the process has ended or the client has hung up.

    A client that closes its side only ends the standard input: output goes on. shown: the streams
    that the client asked for. keys: those by which it leaves, b"" for none; whether it did so is
    returned.
    """
    detach = DetachKeys(keys) if keys and stdin else None
    output = asyncio.ensure_future(_send_output(client, process, framed=framed, shown=shown))
    input = asyncio.ensure_future(_send_input(client, process, stdin=stdin, detach=detach))
    tasks: tuple[asyncio.Future[None], ...] = (output, input)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await process.close()
        await client.close()
    return detach is not None and detach.found


async def _send_output(
    client: Client, process: Attached, *, framed: bool, shown: Collection[int]
) -> None:
    while (output := await process.read()) is not None:
        stream, data = output
        if stream in shown:
            await client.write(frame(stream, data) if framed else data)


async def _send_input(
    client: Client, process: Attached, *, stdin: bool, detach: DetachKeys | None
) -> None:
    """Returns once the client has gone altogether, or has typed the keys by which it leaves."""
    while data := await client.read():
        if stdin:
            await process.write(detach.feed(data) if detach else data)
        if detach is not None and detach.found:
            return
    if stdin:
        await process.close_stdin()
    await client.until_hung_up()
