"""Ports of this host that are one process's alone, though nothing listens on them yet."""

from __future__ import annotations

import random
import socket

__all__ = ["free_port"]

_PORTS = range(10_000, 20_000)
"""Below those of which engines and the kernel choose, so that nobody gets one by chance."""

_marks: list[int] = []
_dice = random.SystemRandom()


def free_port() -> int:
    """A port that nothing listens on, and that no other test gets while this process lives.

    Who has it holds a mark, a name in the kernel that goes with the process.
    """
    while True:
        port = _dice.choice(_PORTS)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0stackr-test-port-{port}")
            _check_free(port)
        except OSError:
            mark.close()
            continue
        _marks.append(mark.detach())
        return port


def _check_free(port: int) -> None:
    """Raises OSError."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            probe.bind(("0.0.0.0", port))
