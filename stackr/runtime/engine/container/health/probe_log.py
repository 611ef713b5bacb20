"""The probe of a container's output: has any line since its start matched?

What is read once is not read again, and what the container writes decides nothing about the cost:
the expressions are RE2's, whose time is linear, and reading takes at most a fifth of the daemon's
time, however fast the log grows. Source: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackr.runtime.engine.container.health.probe import ProbeResult, compiled
from stackr.runtime.engine.container.io.logs import LineJoiner, LogEntry

__all__ = ["LogProbe"]

_BLOCK = 32 << 10
_MATCHED = 16 << 10
_SHOWN = 200
_REST = 4


class LogProbe:
    """since_ns: lines that are older belong to an earlier start."""

    def __init__(self, path: Path, pattern: str, *, since_ns: int, matched: bool) -> None:
        self._path = path
        self._pattern = pattern
        self._since_ns = since_ns
        self._compiled: Any = None
        self._fd = -1
        self._pending = b""
        self._joiner = LineJoiner()
        self._found = "matched before" if matched else ""

    async def __call__(self) -> ProbeResult:
        """Read what is new, up to the end that it has now or to the first match."""
        if not self._found:
            await self._read()
        if self._found:
            return ProbeResult(0, self._found)
        return ProbeResult(1, f'no line of output has matched "{self._pattern[:_SHOWN]}" yet')

    async def _read(self) -> None:
        self._compiled = self._compiled or compiled(self._pattern)
        left = self._left()
        while left > 0 and (block := self._next_block()) and not self._found:
            left -= len(block)
            began = time.perf_counter()
            for entry in self._entries(block):
                if self._matches(entry):
                    self._found = _shown(entry.line)
                    self.close()
                    return
            await asyncio.sleep(_REST * (time.perf_counter() - began))

    def _left(self) -> int:
        """Bytes that are not read yet: a container may write as fast as they are read."""
        if self._fd < 0 and not self._open():
            return 0
        status = os.fstat(self._fd)
        left = status.st_size - os.lseek(self._fd, 0, os.SEEK_CUR)
        with contextlib.suppress(FileNotFoundError):
            if status.st_nlink == 0:  # the log was begun anew
                left += self._path.stat().st_size
        return left

    def _next_block(self) -> bytes:
        """b"" at the end; a log that was begun anew is read from its start."""
        block = os.read(self._fd, _BLOCK)
        if not block and os.fstat(self._fd).st_nlink == 0 and self._open():
            block = os.read(self._fd, _BLOCK)
        return block

    def _open(self) -> bool:
        self.close()
        self._pending = b""
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        return True

    def _entries(self, block: bytes) -> Iterator[LogEntry]:
        *lines, self._pending = (self._pending + block).split(b"\n")
        for line in lines:
            if (entry := self._joiner.add_line(line)) is not None:
                yield entry

    def _matches(self, entry: LogEntry) -> bool:
        line = entry.line.rstrip(b"\r\n")[:_MATCHED]
        return entry.time_ns >= self._since_ns and self._compiled.search(line) is not None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _shown(line: bytes) -> str:
    return line.rstrip(b"\r\n")[:_SHOWN].decode(errors="replace")
