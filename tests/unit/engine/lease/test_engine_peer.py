"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from stackr.runtime.engine.linux.peer import peer_process
from stackr.runtime.engine.linux.process import start_ticks


def test_a_living_peer_is_held() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = peer_process(ours)
    assert found is not None
    process, started = found
    with process:
        assert process.pid == os.getpid()
        assert started == start_ticks(os.getpid())


class _Peer:
    """A socket whose other end is process `pid`, on a kernel that gives no pidfd of it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> Any:
        if option != socket.SO_PEERCRED:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return struct.pack("iII", self._pid, 0, 0)


def test_an_older_kernel_gives_the_pid_alone() -> None:
    found = peer_process(_Peer(os.getpid()))
    assert found is not None
    with found[0] as process:
        assert process.pid == os.getpid()


def test_a_peer_out_of_sight_is_none() -> None:
    assert peer_process(_Peer(0)) is None
    assert peer_process(_Peer(-1)) is None
    assert peer_process(_Peer(1 << 22)) is None
