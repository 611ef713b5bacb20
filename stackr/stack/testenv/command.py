"""The command that a test environment is for: a process on this host.

In the foreground of a terminal it shares that, and the process group, with stackr, so that keys
reach it; elsewhere it has a group of its own, which is ended with it. It never outlives stackr: the
kernel kills it where stackr is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackr.errors import NotFound, PermissionDenied, StackrError

__all__ = ["CannotRun", "CommandNotFound", "HostCommand", "check_command", "exit_code_of"]

_PR_SET_PDEATHSIG = 1


class HostCommand:
    """A running command. It inherits stdin, stdout and stderr."""

    def __init__(self, process: subprocess.Popen[bytes], *, has_group: bool) -> None:
        self._process = process
        self._has_group = has_group

    @classmethod
    @contextlib.contextmanager
    def start(cls, argv: Sequence[str], environ: Mapping[str, str]) -> Iterator[HostCommand]:
        """Start it; at the end nothing of it runs, and the terminal is as it was.

        Raises NotFound where there is no such program, PermissionDenied for what is none.
        """
        on_terminal = _is_in_foreground()
        with _kept_terminal() if on_terminal else contextlib.nullcontext():
            command = cls(_spawn(argv, environ, on_terminal), has_group=not on_terminal)
            try:
                yield command
            finally:
                command.kill()
                command._process.wait()

    async def wait(self) -> int:
        """Its exit code, 128 and the signal's number where that ended it."""
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(self._process.pid)
        except ProcessLookupError:
            return exit_code_of(self._process.wait())
        ended = asyncio.Event()
        loop.add_reader(fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        return exit_code_of(self._process.wait())

    def signal(self, number: int, *, from_terminal: bool = False) -> None:
        """from_terminal: the terminal has sent it to all who share it already."""
        if from_terminal and not self._has_group:
            return
        self._send(number)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        """To the whole group, which may outlive the process that it is named after."""
        with contextlib.suppress(ProcessLookupError):
            if self._has_group:
                os.killpg(self._process.pid, number)
            elif self._process.returncode is None:
                self._process.send_signal(number)


def check_command(argv: Sequence[str]) -> None:
    """Raises CommandNotFound or CannotRun where there is no such program for `HostCommand`."""
    program = argv[0]
    if shutil.which(program) is not None:
        return
    if os.sep in program and os.path.exists(program):
        raise CannotRun(f"{program}: permission denied")
    raise CommandNotFound(f"{program}: command not found")


class CommandNotFound(NotFound):
    """There is no such program, as a shell says it."""

    exit_code = 127


class CannotRun(PermissionDenied):
    """It is there, and no program."""

    exit_code = 126


def _is_in_foreground() -> bool:
    """Whether stdin is a terminal whose keys are ours."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def exit_code_of(returncode: int) -> int:
    """A shell's number for it."""
    return returncode if returncode >= 0 else 128 - returncode


def _spawn(
    argv: Sequence[str], environ: Mapping[str, str], on_terminal: bool
) -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {} if on_terminal else {"process_group": 0}
    libc, parent = ctypes.CDLL(None), os.getpid()

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)

    try:
        return subprocess.Popen(argv, env=dict(environ), preexec_fn=die_with_parent, **options)
    except FileNotFoundError as error:
        raise NotFound(f"{argv[0]}: command not found") from error
    except PermissionError as error:
        raise PermissionDenied(f"{argv[0]}: permission denied") from error
    except (OSError, ValueError) as error:
        raise StackrError(f"{argv[0]}: cannot be run: {error}") from error


@contextlib.contextmanager
def _kept_terminal() -> Iterator[None]:
    """A command that is killed leaves the terminal in its own modes, and may own it still."""
    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            with contextlib.suppress(OSError, termios.error):
                os.tcsetpgrp(0, os.getpgrp())
                termios.tcsetattr(0, termios.TCSADRAIN, before)
        finally:
            signal.signal(signal.SIGTTOU, handler)
