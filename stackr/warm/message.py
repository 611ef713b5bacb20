"""What client, worker and server tell each other on one connection: values and descriptors.

A message is a length of 8 bytes and a value in Python's own `marshal` form: both ends are the same
user's same interpreter. Descriptors go with the first byte (SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import array
import marshal
import socket

TYPE_CHECKING = False  # see stackr.warm.client
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["MOST_FDS", "receive", "send"]

MOST_FDS = 250
"""The kernel takes 253 with a message."""
_HEAD = 8
_LARGEST = 1 << 26


def send(connection: socket.socket, value: Any, fds: Sequence[int] = ()) -> None:
    """Raises OSError where the other end is gone."""
    data = marshal.dumps(value)
    rest = memoryview(len(data).to_bytes(_HEAD, "big") + data)
    if fds:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        rest = rest[connection.sendmsg([rest], [rights]) :]
    connection.sendall(rest)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
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


def _exactly(connection: socket.socket, length: int, fds: list[int]) -> bytes | None:
    data = bytearray()
    room = socket.CMSG_SPACE(MOST_FDS * 4)
    while len(data) < length:
        flags = socket.MSG_CMSG_CLOEXEC
        part, ancillary, _, _ = connection.recvmsg(length - len(data), room, flags)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.extend(array.array("i", content[: len(content) - len(content) % 4]))
        if not part:
            return None
        data += part
    return bytes(data)
