"""The client ends as its worker did."""

from __future__ import annotations

import os
import resource
import signal

__all__ = ["die_by"]


def die_by(number: int) -> None:
    """End this process by a signal, without a second core file of it."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
