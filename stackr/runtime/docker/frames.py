"""The multiplexed stream of a container without a terminal: frames with 8-byte headers.

Source: Docker Engine API, ContainerAttach, "Stream format": stream number, three zero bytes, the
payload's length as a big-endian 32-bit number, the payload.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from stackr.errors import Unavailable
from stackr.runtime.docker.observe import unix_time
from stackr.runtime.types import LogEntry

__all__ = ["frames", "log_entries"]

_HEADER_BYTES = 8
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr", 3: "stderr"}  # 3: the engine's own errors


async def frames(chunks: AsyncIterator[bytes], *, is_raw: bool) -> AsyncIterator[tuple[str, bytes]]:
    """(stream, payload) as they come; a raw stream is all stdout.

    Raises Unavailable for a header that is none.
    """
    if is_raw:
        async for chunk in chunks:
            yield "stdout", chunk
        return
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        while len(pending) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(pending[4:_HEADER_BYTES], "big")
            if pending[0] not in _STREAMS or any(pending[1:4]):
                raise Unavailable("engine: a stream that is not in Docker's multiplexed form")
            if len(pending) < end:
                break
            yield _STREAMS[pending[0]], bytes(pending[_HEADER_BYTES:end])
            del pending[:end]


async def log_entries(
    chunks: AsyncIterator[bytes], *, is_raw: bool, timestamps: bool
) -> AsyncIterator[LogEntry]:
    """Whole lines of each stream; a last one without a line end comes at the end."""
    pending = {"stdout": b"", "stderr": b""}
    async for stream, payload in frames(chunks, is_raw=is_raw):
        *lines, pending[stream] = (pending[stream] + payload).split(b"\n")
        for line in lines:
            yield _entry(stream, line, timestamps=timestamps)
    for stream, line in pending.items():
        if line:
            yield _entry(stream, line, timestamps=timestamps)


def _entry(stream: str, line: bytes, *, timestamps: bool) -> LogEntry:
    if not timestamps:
        return LogEntry(stream, line)
    stamp, _, text = line.partition(b" ")
    try:
        seconds = unix_time(stamp.decode())
    except ValueError:
        return LogEntry(stream, line)  # the second half of a line that was split
    return LogEntry(stream, text, round(seconds * 1_000_000_000))
