"""Who is at the other end of a Unix socket: its process, held by a descriptor.

Source: socket(7), SO_PEERCRED; SO_PEERPIDFD (Linux 6.5), which names the process that connected
even where its pid has been given to another since.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from typing import Protocol, overload

from stackr.runtime.engine.linux.exhaustion import EXHAUSTED
from stackr.runtime.engine.linux.process import Process, start_ticks

__all__ = ["Peer", "peer_pid", "peer_process"]

_SO_PEERPIDFD = 77
_UCRED = struct.Struct("iII")


class Peer(Protocol):
    """A connected Unix socket, of `socket` or of asyncio."""

    @overload
    def getsockopt(self, level: int, option: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def peer_pid(peer: Peer) -> int:
    """The process that connected, which may have ended; 0 in another PID namespace than ours."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid: int = _UCRED.unpack(credentials)[0]
    return pid


def peer_process(peer: Peer) -> tuple[Process, int] | None:
    """The process that connected, and when it started (see `start_ticks`).

    None where it has ended, or is out of sight in another PID namespace.
    """
    pid = peer_pid(peer)
    if pid <= 0:
        return None
    fd = _pidfd(peer, pid)
    if fd is None:
        return None
    started = start_ticks(pid)
    if not started or _has_ended(fd):
        os.close(fd)
        return None
    return Process(pid, fd), started


def _pidfd(peer: Peer, pid: int) -> int | None:
    try:
        return peer.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        if error.errno != errno.ENOPROTOOPT:
            return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        return None


def _has_ended(fd: int) -> bool:
    """While it has not, its pid is nobody else's."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
