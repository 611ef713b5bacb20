"""`stackr system dial-stdio`: what is on the other host when an engine is reached by ssh.

Source: docker/cli, cli/command/system/dial_stdio.go.
"""

from __future__ import annotations

import asyncio
import os
import sys

import typer

from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import options_of
from stackr.cli.terminal import read_chunks
from stackr.runtime.connect import address_of
from stackr.runtime.docker.address import Stream

__all__ = ["dial_stdio"]

_CHUNK = 1 << 16


def dial_stdio(ctx: typer.Context) -> None:
    """Join standard input and output to the engine's API, for a client on another host."""
    run_interruptible(_dial(options_of(ctx).engine))


async def _dial(engine: str | None) -> None:
    """Until the engine hangs up; the end of the input is passed on to it."""
    stream = await address_of(engine).connect()
    asking = asyncio.ensure_future(_ask(stream))
    try:
        while data := await stream.reader.read(_CHUNK):
            # in a thread: a client that does not read may still send
            await asyncio.to_thread(_write, sys.stdout.fileno(), data)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await stream.close()


async def _ask(stream: Stream) -> None:
    async for data in read_chunks(sys.stdin.fileno(), _CHUNK):
        stream.writer.write(data)
        await stream.writer.drain()
    stream.writer.write_eof()


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
