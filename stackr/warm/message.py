"""What client, worker and server tell each other on one connection: values and descriptors.

A message is a length of 8 bytes and a value in Python's own `marshal` form: both ends are the same
user's same interpreter. Descriptors go with the first byte (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import marshal
import sys
from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET

TYPE_CHECKING = False  # see stackr.warm.client
if TYPE_CHECKING:
    from _socket import socket as Socket
    from collections.abc import Sequence
    from typing import Any

__all__ = ["MOST_FDS", "READY", "receive", "send"]

MOST_FDS = 250
"""The kernel takes 253 with a message."""
READY = "ready"
"""What a client says once it passes signals on: until then nothing is begun."""
_HEAD = 8
_FD = 4
"""Bytes of a descriptor's number (C's `int`)."""
_LARGEST = 1 << 26


def send(connection: Socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Raises OSError where the other end is gone."""
    data = marshal.dumps(value)
    rest = memoryview(len(data).to_bytes(_HEAD, "big") + data)
    if fds:
        numbers = b"".join(fd.to_bytes(_FD, sys.byteorder) for fd in fds)
        rest = rest[connection.sendmsg([rest], [(SOL_SOCKET, SCM_RIGHTS, numbers)]) :]
    connection.sendall(rest)


def receive(connection: Socket) -> tuple[Any, list[int]]:
    """The next value, with the descriptors that came with it; (None, []) at the end.

    Raises OSError, and ValueError for a message that is none.
    """
    fds: list[int] = []
    head = _exactly(connection, _HEAD, fds)
    if head is None:
        return None, fds
    length = int.from_bytes(head, "big")
    if length > _LARGEST:
        raise ValueError("the message is too long")
    data = _exactly(connection, length, fds)
    return (None if data is None else marshal.loads(data)), fds


def _exactly(connection: Socket, length: int, fds: list[int]) -> bytes | None:
    data = bytearray()
    room = CMSG_SPACE(MOST_FDS * _FD)
    while len(data) < length:
        part, ancillary, _, _ = connection.recvmsg(length - len(data), room, MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                fds += [
                    int.from_bytes(content[at : at + _FD], sys.byteorder)
                    for at in range(0, len(content) - _FD + 1, _FD)
                ]
        if not part:
            return None
        data += part
    return bytes(data)
