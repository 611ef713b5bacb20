"""Room on the disk that is kept for what has to be written when there is no other.

On a full disk nothing new is made, but what is there must end, be undone and be removed, and each
of these writes a record, while some container takes every byte that comes free. So the database's
log has its room from the start, and is then written in place. As SQLite deletes the log when the
database is closed, a file of the same size stands in for it until it is opened again.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from stackr.errors import Internal

__all__ = ["RESERVE", "RESERVED_BYTES", "Reserve"]

RESERVE = "reserve"
RESERVED_BYTES = 1 << 20
_LOW_BYTES = 256 << 10


class Reserve:
    """Of the database at `path`, which its caller opens and closes."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._log = path.with_name(f"{path.name}-wal")
        self._stand_in = path.with_name(RESERVE)

    def release(self) -> None:
        """Before the database is opened."""
        self._stand_in.unlink(missing_ok=True)

    def take(self) -> None:
        """While the database is open; as soon as there is room, if there is none now."""
        with suppress(OSError):
            if self._log.stat().st_size < RESERVED_BYTES:
                _allocate(self._log)

    def keep(self) -> None:
        """Once the database is closed."""
        with suppress(OSError):
            _allocate(self._stand_in)

    def check_room(self) -> None:
        """Before something new is made: raises Internal where the disk is full."""
        disk = os.statvfs(self._folder)
        if disk.f_bfree * disk.f_frsize >= _LOW_BYTES:
            self.take()
            return
        raise Internal(
            f"{self._folder}: {os.strerror(errno.ENOSPC)}: nothing new is made until"
            f" {_LOW_BYTES >> 10} KiB are free there"
        )


def _allocate(path: Path) -> None:
    """Give a file all its room; what is in it stays. All of it or nothing."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, RESERVED_BYTES)
    finally:
        os.close(fd)
