"""A file system of a given size, for as long as a test."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polling import until

__all__ = ["fill", "small_disk", "unmount"]

_DEADLINE_S = 60.0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs on `folder`; size: as mount(8) takes it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    """The kernel closes the files of a process that has ended some time after its end."""
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        done = subprocess.run(["umount", folder], capture_output=True, text=True)
        if not done.returncode:
            return
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.05)


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Take all room on its disk but some; again, where some has come free."""
    path = folder / "ballast"
    until(lambda: _take_room(path, leave_bytes), "a full disk")
    return path


def _take_room(path: Path, leave_bytes: int) -> bool:
    """False where another has taken of the same room meanwhile."""
    disk = os.statvfs(path.parent)
    taken = path.stat().st_blocks * 512 if path.exists() else 0
    size = taken + disk.f_bavail * disk.f_frsize - leave_bytes
    with path.open("ab") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
    return True
