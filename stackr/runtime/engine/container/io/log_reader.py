"""A container's log, read from the end, from the start, or as it grows.

A reading without `follow` ends where the log ended when it was asked for, however fast the
container writes. Source: Docker Engine API `GET /containers/{id}/logs`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from stackr.runtime.engine.container.io.log_seek import Form, since_start, tail_start
from stackr.runtime.engine.container.io.logs import (
    LineJoiner,
    LogEntry,
    LogQuery,
    Selection,
    nanoseconds,
)
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.linux.inotify import FileWatch, FileWatches

__all__ = ["FORM", "LogReader"]

_BLOCK = 64 << 10


class LogReader:
    """The entries of a log, oldest first; what it needs is held from `open` on, so that a reading
    that cannot be made is refused before it is answered.

    Iterate over it once; `aclose` lets go of it, and so does the end.
    """

    def __init__(self, path: Path, query: LogQuery, turns: Turns) -> None:
        self._path = path
        self._turns = turns
        self._query = query
        self._fd = -1
        self._end = 0
        self._watches: FileWatches | None = None
        self._watch: FileWatch | None = None
        self._ended: asyncio.Future[Any] | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        query: LogQuery,
        *,
        watches: FileWatches,
        turns: Turns,
        ended: asyncio.Future[Any] | None = None,
    ) -> LogReader:
        """A log that is not there has no entries.

        turns: for each block, so that many readings together do not keep the others waiting.
        ended: done with the container's end; None where it does not run. With `query.follow`, new
        entries come until then. It is cancelled with the reading.
        Raises Unavailable where no more files can be watched, OSError.
        """
        reader = cls(path, query, turns)
        reader._ended = ended
        try:
            reader._open(watches)
        except BaseException:
            reader._close()
            raise
        return reader

    def _open(self, watches: FileWatches) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        if self._query.follow and self._ended is not None:
            self._watches = watches
            self._watch = watches.add(self._path)
            self._ended.add_done_callback(self._wake)
        self._end = os.fstat(self._fd).st_size

    async def __aiter__(self) -> AsyncIterator[LogEntry]:
        async for batch in self.batches():
            for entry in batch:
                yield entry

    async def batches(self) -> AsyncIterator[list[LogEntry]]:
        """The same, as many at a time as were read at once."""
        selection = Selection(self._query, LineJoiner())
        try:
            if self._fd < 0:
                return
            async for lines in self._lines():
                yield selection.take(lines)
                if selection.is_over:
                    return
            yield selection.rest()
        finally:
            self._close()

    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._ended is not None:
            self._ended.cancel()

    async def _lines(self) -> AsyncIterator[list[bytes]]:
        """Whole lines of the file, without their ends."""
        os.lseek(self._fd, await self._start(), os.SEEK_SET)
        pending = b""
        async for block in self._blocks():
            *lines, pending = (pending + block).split(b"\n")
            yield lines

    async def _start(self) -> int:
        """Where the first line begins that may be asked for."""
        fd, size, query, start = self._fd, self._end, self._query, 0
        if query.since_ns:
            start = await since_start(fd, query.since_ns, self._turns, size=size, form=FORM)
        if query.tail is not None:
            tail, _ = await tail_start(fd, query.tail, self._turns, size=size, form=FORM)
            start = max(start, tail)
        return start

    async def _blocks(self) -> AsyncIterator[bytes]:
        while True:
            await self._turns.take()
            if block := self._next_block():
                yield block
            elif self._watch is None or self._ended is None or self._ended.done():
                return
            elif os.fstat(self._fd).st_nlink == 0:
                self._reopen(self._watch)
            else:
                await self._watch.changed()

    def _next_block(self) -> bytes:
        """b"" at the end: where the log ended when it was opened, unless it is followed."""
        if self._watch is not None:
            return os.read(self._fd, _BLOCK)
        left = self._end - os.lseek(self._fd, 0, os.SEEK_CUR)
        return os.read(self._fd, min(_BLOCK, left)) if left > 0 else b""

    def _wake(self, _: asyncio.Future[Any]) -> None:
        """The container's end is a change, too."""
        if self._watch is not None:
            self._watch.event.set()

    def _reopen(self, watch: FileWatch) -> None:
        """The log was begun anew; go on with the new file under the same descriptor."""
        assert self._watches is not None
        watch.close()
        self._watch = self._watches.add(self._path)
        new = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(new, self._fd, inheritable=False)
        os.close(new)


def _ends_line(line: bytes) -> bool:
    parts = line.split(b" ", 3)
    return len(parts) < 3 or parts[2] != b"P"


def _time_ns(line: bytes) -> int | None:
    return nanoseconds(line.partition(b" ")[0].decode(errors="replace"))


FORM = Form(_ends_line, _time_ns)
"""Of the monitor's own lines: all but the last of those of one line of output have the tag P."""
