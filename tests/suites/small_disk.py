"""A file system of a given size, for as long as a test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["small_disk", "unmount"]

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
