"""This process's open files: fewer than it wants for a while, or many."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["many_descriptors", "open_files", "room_for"]

_SELECTABLE = 1024


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


@contextmanager
def many_descriptors() -> Iterator[None]:
    """Every number that select(2) can take is in use in this process."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    taken: list[int] = []
    try:
        while not taken or taken[-1] < _SELECTABLE:
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
