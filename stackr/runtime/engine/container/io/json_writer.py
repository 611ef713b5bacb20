"""From what a container's monitor writes to the log that Docker's json-file has.

The monitor outlives the daemon and knows a format of its own: it writes to a spool, which is taken
over from as it grows, or once there is a daemon again. How far that has come is noted after each
piece; a piece that was cut off is undone first, so that no entry is lost or told twice. A spool
that is taken over is begun anew.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

from stackr.runtime.engine.container.io.deliveries import Message
from stackr.runtime.engine.container.io.json_log import encode, stamp
from stackr.runtime.engine.container.io.log_sender import LogSender
from stackr.runtime.engine.container.io.logs import nanoseconds
from stackr.runtime.engine.container.io.rotated_file import RotatedFile
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.linux.inotify import FileWatches
from stackr.runtime.engine.roots import make_folder, make_way

__all__ = ["JsonWriter"]

_log = logging.getLogger(__name__)

_BLOCK: Final = 64 << 10
_SPOOL_BYTES: Final = 1 << 20
_LONGEST: Final = 16 << 10  # of an entry; what is longer goes on in the next, as with dockerd
_AGAIN_S: Final = 1.0
_A_WHILE_S = 1.0
_REOPEN: Final = b"2 0 0\n"  # conmon's message for a new log file


_AROUND: Final = 75
"""Bytes of an entry beside its text: where a file is full, they need not be counted exactly."""
_Entry = tuple[str, str, bytes]
"""Stream, the monitor's time, text."""


@dataclass(slots=True)
class _Progress:
    """spool, offset: the file that is being read, and how far; file, size: what was written last.

    partial: the beginning of a line of output, by its stream, with its time.
    """

    spool: int = 0
    offset: int = 0
    file: int = 0
    size: int = 0
    partial: dict[str, tuple[str, bytes]] = field(default_factory=dict)


class JsonWriter:
    """attrs: a JSON object that marks each entry, "" for none. control: the monitor's FIFO.

    lock: held while files are written and renamed. sender: gets each entry, too, where there is
    one. keeps: whether there is a log for readers.
    """

    def __init__(
        self,
        spool: Path,
        log: RotatedFile,
        *,
        attrs: str,
        control: Path,
        turns: Turns,
        sender: LogSender | None = None,
        keeps: bool = True,
    ) -> None:
        self.log = log
        self.sender = sender
        self.keeps = keeps
        self._spool = spool
        self._former = spool.with_name(f"{spool.name}.1")
        self._noted = spool.with_name(f"{spool.name}.progress")
        self._attrs = attrs
        self._control = control
        self._turns = turns
        self.lock = asyncio.Lock()
        self._progress: _Progress | None = None
        self._moved = 0  # bytes, of the spool
        self._listeners: set[asyncio.Event] = set()

    def listen(self) -> asyncio.Event:
        """An event that is set whenever entries have come; to be given to `leave`."""
        event = asyncio.Event()
        self._listeners.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        self._listeners.discard(event)

    def wake(self) -> None:
        for event in self._listeners:
            event.set()

    def make_way(self) -> None:
        """Before anything is read: what else is in the place of one of its files, goes aside."""
        for path in (self._spool, self._former, self._noted, self.log.path):
            with suppress(OSError):
                make_way(path)

    async def run(self, watches: FileWatches) -> None:
        """Take over what comes, until cancelled."""
        is_missing = False
        while True:
            try:
                watch = watches.add(self._spool)
            except FileNotFoundError:
                if is_missing:  # and not about to be made
                    self._ask_for_spool()
                is_missing = True
                await asyncio.sleep(_AGAIN_S)
                continue
            is_missing = False
            try:
                await self._follow(watch.changed)
            except OSError as error:
                _log.warning("%s: cannot be written: %s", self.log.path, error)
                self.make_way()
                await asyncio.sleep(_AGAIN_S)
            finally:
                watch.close()

    async def _follow(self, changed: Any) -> None:
        """Until the spool is another file."""
        inode = self._spool.stat().st_ino
        while True:
            await self.catch_up()
            try:
                if self._spool.stat().st_ino != inode:
                    return
            except FileNotFoundError:
                if not self._former.exists():
                    return  # somebody has removed it
            if self._former.exists():
                await asyncio.sleep(0.01)  # the monitor is about to begin the new one
            else:
                await changed()

    async def catch_up(self, *, patiently: bool = True) -> None:
        """Take over all that the monitor has written by now. Raises OSError.

        patiently: however long it takes; else that of a container that writes faster than it is
        read is given up after a while, as it only ever gets more. Several may be at it at once.
        """
        begun, left, began = self._moved, self.backlog(), monotonic()
        while self._moved < begun + left:
            await self._turns.take()
            async with self.lock:
                moved = await self._step()
            if not moved:
                return
            self._moved += moved
            is_long = monotonic() - began > _A_WHILE_S
            if not patiently and is_long and self.backlog() >= left:
                return

    def backlog(self) -> int:
        """How much is left to take over, and one more, for the end of a file."""
        left, progress = 0, self._load()
        for path in (self._former, self._spool):
            with suppress(FileNotFoundError):
                status = path.stat()
                done = progress.offset if status.st_ino == progress.spool else 0
                left += status.st_size - done + 1
        return left

    async def finish(self) -> None:
        """The container has ended: the rest is taken over, and there is no spool any more."""
        await self.catch_up()
        async with self.lock:
            progress = self._load()
            begun = [(stream, time, line) for stream, (time, line) in progress.partial.items()]
            progress.partial.clear()
            self._append(begun)
            for path in (self._former, self._spool, self._noted):
                path.unlink(missing_ok=True)
            self._progress = None
        self.wake()

    async def _step(self) -> int:
        """Take over a block, or what fits into the file; how many bytes, 0 for nothing."""
        await self._make_room()
        progress, has_next = self._load(), self._spool.exists()
        path = self._former if self._former.exists() else self._spool
        inode, size, data = _piece(path, progress)
        if inode != progress.spool:
            progress.spool, progress.offset = inode, 0
        entries: list[_Entry] = []
        taken = len(data)  # a block without an end of a line is damaged: none is as long
        if b"\n" in data:
            entries, taken = self._taken_over(data)
        elif taken < _BLOCK and path == self._former and has_next:
            self._former.unlink()
            return 1
        elif taken < _BLOCK:
            return 0
        self._append(entries, taken)
        self.wake()
        if path == self._spool and progress.offset >= max(_SPOOL_BYTES, size):
            self._begin_anew()
        return taken

    async def _make_room(self) -> None:
        _, size = self.log.status()
        if self.log.is_full(size):
            await asyncio.to_thread(self.log.rotate)
            self._load().file, self._load().size = self.log.status()
            self._note()

    def _taken_over(self, data: bytes) -> tuple[list[_Entry], int]:
        """Entries, until the file is full, and how many bytes of `data` they are of."""
        partial = self._load().partial
        _, size = self.log.status()
        entries: list[_Entry] = []
        taken = 0
        for line in data.split(b"\n")[:-1]:
            if self.log.is_full(size):
                break
            taken += len(line) + 1
            parts = line.split(b" ", 3)
            if len(parts) != 4 or parts[1] not in (b"stdout", b"stderr"):
                continue
            stream, time = parts[1].decode(), parts[0].decode(errors="replace")
            begun, before = partial.pop(stream, (time, b""))
            text = before + parts[3]
            if parts[2] == b"F":
                text += b"\n"
            elif len(text) < _LONGEST:
                partial[stream] = (begun, text)
                continue
            entries.append((stream, begun, text))
            size += len(text) + _AROUND
        return entries, taken

    def _append(self, entries: list[_Entry], taken: int = 0) -> None:
        """What cannot be written is taken over again, with the beginnings of lines before it."""
        progress = self._load()
        try:
            if entries and self.keeps:
                lines = (encode(text, s, stamp(time), self._attrs) for s, time, text in entries)
                progress.file, progress.size = self.log.append(b"".join(lines))
            progress.offset += taken
            self._note()
        except OSError:
            self._progress = None
            raise
        if self.sender is not None:
            self.sender.send(_messages(entries))

    def _begin_anew(self) -> None:
        """Have the monitor write to another file; this one is read to its end first."""
        self._spool.rename(self._former)
        if not self._ask_for_spool():
            with suppress(OSError):
                self._former.rename(self._spool)  # it has ended

    def _ask_for_spool(self) -> bool:
        """Have the monitor make the spool anew; whether there is a monitor."""
        try:
            make_folder(self._spool.parent, 0o710)
            fd = os.open(self._control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, _REOPEN)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def _load(self) -> _Progress:
        if self._progress is None:
            self._progress = _read(self._noted)
            file, size = self.log.status()
            if file and file == self._progress.file and size > self._progress.size:
                self.log.truncate(self._progress.size)  # a piece that is not noted as taken over
        return self._progress

    def _note(self) -> None:
        assert self._progress is not None
        progress = self._progress
        value = {
            "spool": [progress.spool, progress.offset],
            "file": [progress.file, progress.size],
            "partial": {
                stream: [time, base64.b64encode(line).decode()]
                for stream, (time, line) in progress.partial.items()
            },
        }
        aside = self._noted.with_name(f"{self._noted.name}.tmp")
        aside.write_text(json.dumps(value))
        aside.rename(self._noted)


def _messages(entries: list[_Entry]) -> Iterator[Message]:
    for stream, time, text in entries:
        line = text.rstrip(b"\r\n").decode(errors="replace")
        if line:
            yield Message(stream, nanoseconds(time) or 0, line)


def _piece(path: Path, progress: _Progress) -> tuple[int, int, bytes]:
    """Inode and size of the spool, and what follows; nothing of one that is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0, 0, b""
    try:
        status = os.fstat(fd)
        offset = progress.offset if status.st_ino == progress.spool else 0
        return status.st_ino, status.st_size, os.pread(fd, _BLOCK, offset)
    finally:
        os.close(fd)


def _read(path: Path) -> _Progress:
    """A damaged or missing one is a new one."""
    try:
        value = json.loads(path.read_text())
        (spool, offset), (file, size) = value["spool"], value["file"]
        partial = {
            stream: (str(time), base64.b64decode(line))
            for stream, (time, line) in value["partial"].items()
        }
        return _Progress(int(spool), int(offset), int(file), int(size), partial)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Progress()
