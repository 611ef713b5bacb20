"""The client's signals: passed on to the worker, and the one by which it ended taken over."""

from __future__ import annotations

import os

from stackr.warm.message import READY, send

TYPE_CHECKING = False  # see stackr.warm.client
if TYPE_CHECKING:
    import signal
    from _socket import socket as Socket
    from types import FrameType
else:
    import _signal as signal

__all__ = ["Relay"]

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
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before.append(number)
                signal.signal(number, self._stop if number == signal.SIGTSTP else self._pass_on)
        try:
            send(connection, READY)
        except OSError:
            return  # it has declined: that is read next

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
        _send(-self.worker if number in _TO_ALL else self.worker, number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the worker, which has no terminal of its own, stops and goes on with us."""
        if self.worker:
            _send(-self.worker, signal.SIGSTOP)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # returns once we are continued
        signal.signal(signal.SIGTSTP, self._stop)
        if self.worker:
            _send(-self.worker, signal.SIGCONT)


def _send(target: int, number: int) -> None:
    """To a process, or a group by its negative number (kill(2)); one that has gone is no error."""
    try:
        os.kill(target, number)
    except ProcessLookupError:
        return
