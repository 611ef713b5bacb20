"""Work inside another network namespace, on a thread of its own.

setns(2) moves the calling thread alone, so nothing here may run on the event loop's thread. Python
3.11 has no `os.setns`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["CLONE_NEWNET", "inside", "of_process", "open_current", "write_sysctl"]

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def open_current() -> int:
    """A file descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def of_process(pid: int) -> Iterator[int]:
    """A file descriptor of a process's network namespace; raises OSError where it has ended."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def inside(namespace: int, *, home: int) -> Iterator[None]:
    """Run the block in `namespace`, then return to `home`; both are file descriptors."""
    _setns(namespace)
    try:
        yield
    finally:
        _setns(home)


def write_sysctl(name: str, value: str) -> None:
    """Set `net/...` of the calling thread's network namespace; no write where it has the value."""
    path = Path("/proc/sys") / name
    if path.read_text().strip() != value:
        path.write_text(value)
