"""The client's signals: passed on to the worker, and the one by which it ended taken over."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from _socket import socket as Socket
from types import FrameType

from stackr.warm.message import READY, send

__all__ = ["Relay", "die_by"]

_TO_ALL = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGWINCH)
_TO_ONE = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


class Relay:
    """Hands this process's signals to the worker; those that come before there is one wait."""

    def __init__(self) -> None:
        self.worker = 0
        self._before: list[int] = []
        self._waiting: list[int] = []

    def begin(self, connection: Socket) -> None:
        """Take over what the signals mean, and tell the worker, which begins nothing before."""
        for number in (*_TO_ALL, *_TO_ONE, signal.SIGTSTP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before.append(number)
                signal.signal(number, self._stop if number == signal.SIGTSTP else self._pass_on)
        with contextlib.suppress(OSError):  # it has declined: that is read next
            send(connection, READY)

    def follow(self, worker: int) -> None:
        self.worker = worker
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            os.kill(os.getpid(), number)

    def give_up(self) -> None:
        """Let this process's signals mean again what they did, those that have come included."""
        for number in self._before:
            default = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if default else signal.SIG_DFL)
        for number in self._waiting:
            os.kill(os.getpid(), number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if not self.worker:
            self._waiting.append(number)
            return
        # What a terminal sends goes to all of a job's processes; the worker's are a group.
        with contextlib.suppress(ProcessLookupError):
            if number in _TO_ALL:
                os.killpg(self.worker, number)
            else:
                os.kill(self.worker, number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the worker, which has no terminal of its own, stops and goes on with us."""
        with contextlib.suppress(ProcessLookupError):
            if self.worker:
                os.killpg(self.worker, signal.SIGSTOP)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # returns once we are continued
            signal.signal(signal.SIGTSTP, self._stop)
            if self.worker:
                os.killpg(self.worker, signal.SIGCONT)


def die_by(number: int) -> None:
    """End this process by a signal, without a second core file of it."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
