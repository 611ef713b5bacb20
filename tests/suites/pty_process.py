"""A command on a terminal of its own, which has it in the foreground: typing, reading, resizing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackr_stack import STACKR, Stack

__all__ = ["PtyProcess", "on_terminal", "terminal_of"]

_DEADLINE_S = 60.0


class PtyProcess:
    """`seen` is all that has been read so far."""

    def __init__(self, process: subprocess.Popen[str], terminal: int) -> None:
        self.process = process
        self.terminal = terminal
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, text: bytes, *, count: int = 1) -> bytes:
        """Read until `text` has come `count` times in all."""
        deadline = time.monotonic() + _DEADLINE_S
        while self.seen.count(text) < count:
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            if select.select([self.terminal], [], [], 0.5)[0]:
                try:
                    self.seen += os.read(self.terminal, 4096)
                except OSError as error:  # the other end is closed
                    raise AssertionError(self.seen.decode(errors="replace")) from error
        return self.seen

    def until_raw(self) -> None:
        """Until keys go to the program as they are typed."""
        deadline = time.monotonic() + _DEADLINE_S
        while termios.tcgetattr(self.terminal)[3] & termios.ICANON:
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            time.sleep(0.02)

    def wait(self) -> int:
        """The exit code; what is written meanwhile is read, so that nothing waits for a reader."""
        deadline = time.monotonic() + _DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            if select.select([self.terminal], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.terminal, 4096)
        with contextlib.suppress(OSError):
            while select.select([self.terminal], [], [], 0)[0]:
                self.seen += os.read(self.terminal, 4096)
        return self.process.returncode


@contextlib.contextmanager
def on_terminal(
    stack: Stack, *arguments: str, program: str = STACKR, rows: int = 24, columns: int = 80
) -> Iterator[PtyProcess]:
    """Run `stackr` or a program on a terminal; it is killed at the end, if it still runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = stack.start(*arguments, program=program, **_streams(theirs))
    with _attended(process, ours, theirs) as attended:
        yield attended


@contextlib.contextmanager
def terminal_of(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[PtyProcess]:
    """Run a program on a terminal; it is killed at the end, if it still runs."""
    ours, theirs = pty.openpty()
    process: subprocess.Popen[str] = subprocess.Popen(argv, env=env, text=True, **_streams(theirs))
    with _attended(process, ours, theirs) as attended:
        yield attended


def _streams(theirs: int) -> dict[str, Any]:
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    return {**streams, "start_new_session": True, "preexec_fn": _take_terminal}


@contextlib.contextmanager
def _attended(process: subprocess.Popen[str], ours: int, theirs: int) -> Iterator[PtyProcess]:
    os.close(theirs)
    try:
        yield PtyProcess(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
