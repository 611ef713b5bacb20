"""Wait for files to change, without polling: one inotify instance for all of them.

Instances are scarce, as a user has 128 of them (`fs.inotify.max_user_instances`); one of them takes
any number of files (`fs.inotify.max_user_watches`). Source: inotify(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.syscalls import (
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)

__all__ = ["FileWatch", "FileWatches"]

IN_MODIFY = 0x2
IN_CREATE = 0x100
IN_MOVE_SELF = 0x800
IN_DELETE_SELF = 0x400
IN_ATTRIB = 0x4
IN_IGNORED = 0x8000
IN_Q_OVERFLOW = 0x4000

_MASK = IN_MODIFY | IN_CREATE | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB
_EVENT = struct.Struct("=iIII")  # watch descriptor, mask, cookie, length of the name
_READ_BYTES = 1 << 16
_HINTS = {
    errno.EMFILE: "raise the kernel's fs.inotify.max_user_instances, or the engine's open files",
    errno.ENOSPC: "raise the kernel's fs.inotify.max_user_watches",
}


class FileWatch:
    """One file's watch, for one waiter; `changed` says that it was written, renamed or removed,
    or that something was made in it.
    """

    def __init__(self, watches: FileWatches, number: int) -> None:
        self.event = asyncio.Event()
        self._watches = watches
        self._number = number

    async def changed(self) -> None:
        """Wait for the next change; those since the last call count."""
        await self.event.wait()
        self.event.clear()

    def close(self) -> None:
        self._watches.remove(self, self._number)


class FileWatches:
    """Opened with the first watch, and kept until `close`; used on the event loop alone."""

    def __init__(self) -> None:
        self._fd = -1
        self._by_number: dict[int, set[FileWatch]] = {}

    def add(self, path: Path) -> FileWatch:
        """Raises FileNotFoundError where it is not there, Unavailable at the kernel's limits."""
        fd = self._instance()
        try:
            number = inotify_add_watch(fd, os.fsencode(path), _MASK)
        except OSError as error:
            raise _refused(error.errno or 0, path) from error
        watch = FileWatch(self, number)
        self._by_number.setdefault(number, set()).add(watch)
        return watch

    def _instance(self) -> int:
        if self._fd < 0:
            try:
                fd = inotify_init()
            except OSError as error:
                raise _refused(error.errno or 0, Path("inotify")) from error
            asyncio.get_running_loop().add_reader(fd, self._readable)
            self._fd = fd
        return self._fd

    def remove(self, watch: FileWatch, number: int) -> None:
        """Several waiters of one file share its number: the last one takes it away."""
        waiting = self._by_number.get(number, set())
        waiting.discard(watch)
        if not waiting and self._by_number.pop(number, None) is not None:
            inotify_rm_watch(self._fd, number)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number, mask in _events(os.read(self._fd, _READ_BYTES)):
                self._wake(number, mask)

    def _wake(self, number: int, mask: int) -> None:
        lost = mask & IN_Q_OVERFLOW  # events were dropped: any file may have changed
        waiting = [*self._by_number.values()] if lost else [self._by_number.get(number, set())]
        for watches in waiting:
            for watch in watches:
                watch.event.set()
        if mask & IN_IGNORED:  # the file is gone, and its watch with it
            self._by_number.pop(number, None)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._by_number.clear()


def _events(data: bytes) -> Iterator[tuple[int, int]]:
    """The watch descriptor and the mask of each event; -1 for one that is about no file."""
    offset = 0
    while offset < len(data):
        number, mask, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size + length
        yield number, mask


def _refused(code: int, path: Path) -> Exception:
    if code in _HINTS:
        return Unavailable(f"{path}: cannot be watched: {os.strerror(code)}", hint=_HINTS[code])
    return OSError(code, os.strerror(code), str(path))
