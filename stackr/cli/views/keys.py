"""Keys that are typed while rows are drawn: they are not echoed into them.

They stay in the terminal's line for whoever reads it next, and Ctrl-C works as ever.
"""

from __future__ import annotations

import os
import sys
import termios

__all__ = ["HiddenKeys"]


class HiddenKeys:
    """Between `start` and `stop` the terminal at standard input echoes nothing."""

    def __init__(self) -> None:
        self._before: tuple[int, list[int | list[bytes | int]]] | None = None

    def start(self) -> None:
        """Nothing where standard input is no terminal, or that of a job in the background."""
        try:
            fd = sys.stdin.fileno()
            if not os.isatty(fd) or _is_background(fd):
                return
            before = termios.tcgetattr(fd)
            hidden = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
            termios.tcsetattr(fd, termios.TCSANOW, hidden)
        except (OSError, ValueError, AttributeError, termios.error):
            return
        self._before = (fd, before)

    def stop(self) -> None:
        if self._before is None:
            return
        fd, before = self._before
        self._before = None
        try:
            termios.tcsetattr(fd, termios.TCSANOW, before)
        except termios.error:
            return


def _is_background(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False  # another session's terminal, which knows no job of ours
