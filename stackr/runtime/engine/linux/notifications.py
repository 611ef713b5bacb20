"""What the kernel tells of its own accord: the datagrams of netlink's multicast groups.

Source: netlink(7).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence

__all__ = ["Notifications"]

_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NETLINK_LISTEN_ALL_NSID = 270, 1, 8
_RECEIVE_BYTES = 1 << 16


class Notifications:
    """Those of the network namespace of the thread that makes this, from then on.

    protocol: `NETLINK_ROUTE` and its kin. all_namespaces: also those to which links of this one
    lead. Raises OSError where the kernel does not tell of that.
    """

    def __init__(
        self, protocol: int, groups: Sequence[int], *, all_namespaces: bool = False
    ) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        try:
            if all_namespaces:
                self._socket.setsockopt(_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID, 1)
            self._socket.bind((0, 0))
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> Iterator[bytes | None]:
        """What has come by now, without waiting; None where some of it is lost."""
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more than there was room for
                    raise
                yield None
            else:
                yield data
