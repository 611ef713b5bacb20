"""This process's limit of open files, lowered for a while."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["open_files", "room_for"]


def open_files() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd")) - 1  # but the one that lists them


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """It can open so many more within the block, and then none."""
    opened = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
        while (fd := os.open("/dev/null", os.O_RDONLY)) < highest:
            opened.append(fd)  # a limit is one of numbers: there must be no gap below
        opened.append(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1 + count, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in opened:
            os.close(fd)
