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
from pathlib import Path
from typing import IO, Any, Final

from stackr.runtime.engine.container.io.json_log import decode, ends_line
from stackr.runtime.engine.container.io.json_writer import JsonWriter
from stackr.runtime.engine.container.io.log_reader import tail_start
from stackr.runtime.engine.container.io.logs import EntryJoiner, LogEntry, LogQuery
from stackr.runtime.engine.container.io.turns import Turns

__all__ = ["JsonLogReader"]

_BLOCK: Final = 64 << 10


class JsonLogReader:
    """The entries of a log, oldest first. Iterate over it once; `aclose` lets go of it.

    ended: done with the container's end; None where it does not run. With `query.follow`, new
    entries come until then. It is cancelled with the reading.
    """

    def __init__(
        self,
        writer: JsonWriter,
        query: LogQuery,
        turns: Turns,
        ended: asyncio.Future[Any] | None = None,
    ) -> None:
        self._writer = writer
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
        joiner, query = EntryJoiner(), self._query
        try:
            async for line in self._lines():
                entry = decode(line)
                if entry is None:
                    continue
                for whole in joiner.add(entry):
                    if query.is_past(whole):
                        return
                    if query.wants(whole):
                        yield whole
            for rest in joiner.rest():
                if query.wants(rest):
                    yield rest
        finally:
            self._close()

    async def _lines(self) -> AsyncIterator[bytes]:
        """Whole lines of the files, without their ends."""
        with suppress(OSError):  # a full disk: what there is is told
            await self._writer.catch_up()
        with ExitStack() as stack:
            async with self._writer.lock:
                found = [_open(path, stack) for path in self._writer.log.files()]
            files = [file for file in found if file is not None]
            sizes = [os.fstat(file).st_size for file in files]
            if self._query.tail is not None:
                await self._seek(files, sizes, self._query.tail)
            for file, size in zip(files, sizes, strict=True):
                async for line in self._read(file, size):
                    yield line
            if self._query.follow and self._ended is not None:
                async for line in self._follow(files[-1] if files else -1, self._ended):
                    yield line

    async def _seek(self, files: list[int], sizes: list[int], tail: int) -> None:
        """To where the last `tail` lines of output begin: the newest files first."""
        for file, size in zip(reversed(files), reversed(sizes), strict=True):
            start, found = await tail_start(file, tail, self._turns, size=size, ends_line=ends_line)
            os.lseek(file, start, os.SEEK_SET)
            tail -= found

    async def _read(self, file: int, size: int) -> AsyncIterator[bytes]:
        """From where it is to where its end was."""
        pending = b""
        while (left := size - os.lseek(file, 0, os.SEEK_CUR)) > 0:
            await self._turns.take()
            block = os.read(file, min(_BLOCK, left))
            if not block:
                return
            *lines, pending = (pending + block).split(b"\n")
            for line in lines:
                yield line

    async def _follow(self, file: int, ended: asyncio.Future[Any]) -> AsyncIterator[bytes]:
        """What comes until the end; entries are written whole."""
        pending, is_whole = b"", False
        with ExitStack() as stack:
            while True:
                self._grown.clear()
                await self._turns.take()
                if block := os.read(file, _BLOCK) if file >= 0 else b"":
                    *lines, pending = (pending + block).split(b"\n")
                    for line in lines:
                        yield line
                elif (newer := await self._newer(file, stack)) is not None:
                    file = newer
                elif is_whole:
                    return
                elif ended.done():
                    with suppress(OSError):
                        await self._writer.catch_up()
                    is_whole = True
                else:
                    await self._grown.wait()

    async def _newer(self, file: int, stack: ExitStack) -> int | None:
        """The file after this one, None where it is the last; one that was emptied begins anew."""
        async with self._writer.lock:
            paths = self._writer.log.files()
            if file < 0:
                return _open(paths[0], stack) if paths else None
            status = os.fstat(file)
            if status.st_size < os.lseek(file, 0, os.SEEK_CUR):
                os.lseek(file, 0, os.SEEK_SET)
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


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _open(path: Path, stack: ExitStack) -> int | None:
    """A descriptor, closed with the stack; of a file without a name, where it is compressed.

    None where it has gone: the container is being removed.
    """
    if path.suffix == ".gz":
        plain = stack.enter_context(closing(_nameless(path.parent)))
        with gzip.open(path, "rb") as packed:
            shutil.copyfileobj(packed, plain, 1 << 20)
        plain.flush()
        plain.seek(0)
        return plain.fileno()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    stack.callback(os.close, fd)
    return fd
