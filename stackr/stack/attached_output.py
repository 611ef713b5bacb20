"""The output of a container whose log is not kept, from its own streams, line by line."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from stackr.runtime.protocol import Streams
from stackr.runtime.types import LogEntry

__all__ = ["output_lines"]

_LONGEST = 1 << 20
"""Bytes; a longer line is shown in pieces."""


async def output_lines(streams: Streams) -> AsyncIterator[LogEntry]:
    """Whole lines without their ends, at the time of their arrival; the last may lack its end."""
    pending = {"stdout": b"", "stderr": b""}
    async for stream, data in streams.output():
        *lines, rest = (pending[stream] + data).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        pending[stream] = rest
        for line in lines:
            yield LogEntry(stream, line, time.time_ns())
    for stream, line in pending.items():
        if line:
            yield LogEntry(stream, line, time.time_ns())
