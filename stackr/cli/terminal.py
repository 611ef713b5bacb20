"""The caller's terminal while a program in a container uses it: raw mode, size, its changes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
import struct
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator

__all__ = [
    *("console_size", "has_waiting_input", "raw_terminal", "read_chunks", "terminal_size"),
    "watch_size",
]


@contextlib.contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Pass every key on as it is typed; the terminal's own settings come back at the end."""
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


def terminal_size(fd: int | None = None) -> tuple[int, int] | None:
    """(columns, rows) of the terminal at `fd` (stdout if None), or None if it has no size."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno() if fd is None else fd)
    except OSError:
        return None
    return (size.columns, size.lines) if size.columns and size.lines else None


def console_size(*, tty: bool) -> tuple[int, int] | None:
    """(rows, columns) for the terminal of a program that has one."""
    size = terminal_size() if tty else None
    return None if size is None else (size[1], size[0])


def has_waiting_input(fd: int = 0) -> bool:
    """Whether a file, or a pipe that somebody has written to, is at `fd` and not read yet."""
    try:
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode):
            return found.st_size > os.lseek(fd, 0, os.SEEK_CUR)
        if not stat.S_ISFIFO(found.st_mode):
            return False
        (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))
    except OSError:
        return False  # it is closed
    return bool(count)


@contextlib.contextmanager
def watch_size(changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed` in the running event loop each time that the terminal's size changes."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def read_chunks(fd: int, size: int) -> AsyncIterator[bytes]:
    """What arrives at `fd` until its end, in pieces of at most `size` bytes.

    A file or /dev/null, which epoll does not take, is read in a thread.
    """
    while True:
        try:
            await _readable(fd)
        except OSError:
            data = await asyncio.to_thread(os.read, fd, size)
        else:
            data = os.read(fd, size)
        if not data:
            return
        yield data


async def _readable(fd: int) -> None:
    """Return once a read will not block; watched anew each time, as readiness is told until then.

    Raises OSError for what cannot be watched.
    """
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
