"""The log that Docker's json-file has, read from the end, from the start, or as it grows.

As `log_reader.py` of the monitor's own format. Source: Docker Engine API `GET
/containers/{id}/logs`.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from stackr.runtime.engine.container.io.json_log import FORM, JsonJoiner
from stackr.runtime.engine.container.io.json_writer import JsonWriter
from stackr.runtime.engine.container.io.log_seek import since_start, tail_start
from stackr.runtime.engine.container.io.logs import LogEntry, LogQuery, Selection
from stackr.runtime.engine.container.io.turns import Turns

__all__ = ["JsonLogReader"]

_BLOCK: Final = 64 << 10


class JsonLogReader:
    """The entries of a log, oldest first. Iterate over it once; `aclose` lets go of it.

    ended: done with the container's end; None where it does not run. With `query.follow`, new
    entries come until then. It is cancelled with the reading. runs: whether the container does.
    """

    def __init__(
        self,
        writer: JsonWriter,
        query: LogQuery,
        turns: Turns,
        ended: asyncio.Future[Any] | None = None,
        *,
        runs: bool = False,
    ) -> None:
        self._writer = writer
        self._runs = runs
        self._query = query
        self._turns = turns
        self._ended = ended
        self._grown = writer.listen()
        if ended is not None:
            ended.add_done_callback(self._wake)

    def _wake(self, _: asyncio.Future[Any]) -> None:
        self._grown.set()

    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        self._writer.leave(self._grown)
        if self._ended is not None:
            self._ended.cancel()

    async def __aiter__(self) -> AsyncIterator[LogEntry]:
        async for batch in self.batches():
            for entry in batch:
                yield entry

    async def batches(self) -> AsyncIterator[list[LogEntry]]:
        """The same, as many at a time as were read at once."""
        selection = Selection(self._query, JsonJoiner())
        try:
            async for lines in self._lines():
                yield selection.take(lines)
                if selection.is_over:
                    return
            yield selection.rest()
        finally:
            self._close()

    async def _lines(self) -> AsyncIterator[list[bytes]]:
        """Whole lines of the files, without their ends."""
        with suppress(OSError):  # a full disk: what there is is told
            await self._writer.catch_up(patiently=not self._runs)
        with ExitStack() as stack:
            async with self._writer.lock:
                found = [_open(path, stack) for path in self._writer.log.files()]
            opened = [file for file in found if file is not None]
            for fd, size in await self._begun(opened, stack):
                async for lines in self._read(fd, size):
                    yield lines
            if self._query.follow and self._ended is not None:
                async for lines in self._follow(opened[-1] if opened else None, self._ended):
                    yield lines

    async def _begun(self, opened: list[_File], stack: ExitStack) -> list[tuple[int, int]]:
        """The files that may have what is asked for, each where that begins, and their sizes.

        The newest are looked at first, and those before them only where it begins there.
        """
        query, begun = self._query, list[tuple[int, int]]()
        left = query.tail
        for file in reversed(opened):
            if begun and (left == 0 or file.written_ns < query.since_ns):
                break
            fd = await file.plain(stack)
            size = os.fstat(fd).st_size
            start = 0
            if query.since_ns:
                since, turns = query.since_ns, self._turns
                start = await since_start(fd, since, turns, size=size, form=FORM)
            if left is not None:
                tail, found = await tail_start(fd, left, self._turns, size=size, form=FORM)
                start, left = max(start, tail), left - found
            os.lseek(fd, start, os.SEEK_SET)
            begun.append((fd, size))
        return begun[::-1]

    async def _read(self, file: int, size: int) -> AsyncIterator[list[bytes]]:
        """From where it is to where its end was."""
        pending = b""
        while (left := size - os.lseek(file, 0, os.SEEK_CUR)) > 0:
            await self._turns.take()
            block = os.read(file, min(_BLOCK, left))
            if not block:
                return
            *lines, pending = (pending + block).split(b"\n")
            yield lines

    async def _follow(
        self, file: _File | None, ended: asyncio.Future[Any]
    ) -> AsyncIterator[list[bytes]]:
        """What comes until the end, after all of `file`; entries are written whole."""
        pending, is_whole = b"", False
        fd = -1 if file is None or file.is_packed else file.fd
        with ExitStack() as stack:
            while True:
                self._grown.clear()
                await self._turns.take()
                if block := os.read(fd, _BLOCK) if fd >= 0 else b"":
                    *lines, pending = (pending + block).split(b"\n")
                    yield lines
                elif (newer := await self._newer(file, stack)) is not None:
                    file, fd = newer, await newer.plain(stack)
                elif is_whole:
                    return
                elif ended.done():
                    with suppress(OSError):
                        await self._writer.catch_up()
                    is_whole = True
                else:
                    await self._grown.wait()

    async def _newer(self, file: _File | None, stack: ExitStack) -> _File | None:
        """The file after this one, None where it is the last; one that was emptied begins anew."""
        async with self._writer.lock:
            paths = self._writer.log.files()
            if file is None:
                return _open(paths[0], stack) if paths else None
            status = os.fstat(file.fd)
            if status.st_size < os.lseek(file.fd, 0, os.SEEK_CUR):
                os.lseek(file.fd, 0, os.SEEK_SET)
                return file
            inodes = [_inode(path) for path in paths]
            if not paths or inodes[-1] == status.st_ino:
                return None
            known = status.st_ino in inodes
            return _open(paths[inodes.index(status.st_ino) + 1 if known else -1], stack)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


@dataclass(frozen=True, slots=True)
class _File:
    """One of the log's, open. written_ns: when, since the epoch; no entry is younger."""

    fd: int
    folder: Path
    is_packed: bool
    written_ns: int

    async def plain(self, stack: ExitStack) -> int:
        """A descriptor of its text, closed with the stack: of a nameless copy, if it is packed."""
        if not self.is_packed:
            return self.fd
        text = stack.enter_context(closing(_nameless(self.folder)))
        await asyncio.to_thread(self._unpack, text)
        return text.fileno()

    def _unpack(self, text: IO[bytes]) -> None:
        with open(self.fd, "rb", closefd=False) as file, gzip.open(file) as packed:
            shutil.copyfileobj(packed, text, 1 << 20)
        text.flush()
        text.seek(0)


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _open(path: Path, stack: ExitStack) -> _File | None:
    """Closed with the stack. None where it has gone: the container is being removed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    stack.callback(os.close, fd)
    return _File(fd, path.parent, path.suffix == ".gz", os.fstat(fd).st_mtime_ns)
