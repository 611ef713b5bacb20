"""Wait for a file to change, without polling. Source: inotify(7)."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from pathlib import Path

__all__ = ["FileWatch"]

IN_MODIFY = 0x2
IN_MOVE_SELF = 0x800
IN_DELETE_SELF = 0x400
IN_ATTRIB = 0x4

_libc = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """A watch on one file; `changed` says that it was written, renamed or removed since."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file is not there."""
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        mask = IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB
        if _libc.inotify_add_watch(self._fd, os.fsencode(path), mask) < 0:
            error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
            os.close(self._fd)
            raise error
        self._event = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 65536)
        self._event.set()

    async def changed(self) -> None:
        """Wait for the next change; those since the last call count."""
        await self._event.wait()
        self._event.clear()

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
