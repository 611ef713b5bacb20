"""Whether links, their addresses or filters have changed: the kernel's netlink notifications.

Those of other namespaces come, too, where a link of ours leads into them, as a container's pair
does. The kernel numbers such a namespace when it first tells of the link, and sends nothing of it
before that.
Source: netlink(7), `NETLINK_LISTEN_ALL_NSID`; linux/rtnetlink.h, `enum rtnetlink_groups`.
"""

from __future__ import annotations

import errno
import socket
from typing import Self

__all__ = ["LinkChanges"]

_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NETLINK_LISTEN_ALL_NSID = 270, 1, 8
_LINK, _TC, _IPV4_IFADDR, _IPV6_IFADDR = 1, 4, 5, 9


class LinkChanges:
    """Those since it was made, in the namespace of the thread that made it and where it leads."""

    def __init__(self, notifications: socket.socket) -> None:
        self._socket = notifications

    @classmethod
    def open(cls) -> Self | None:
        """None where the kernel does not tell us of other namespaces."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        notifications = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            notifications.setsockopt(_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID, 1)
            notifications.bind((0, 0))
            for group in (_LINK, _TC, _IPV4_IFADDR, _IPV6_IFADDR):
                notifications.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError:
            notifications.close()
            return None
        return cls(notifications)

    def close(self) -> None:
        self._socket.close()

    def any(self) -> bool:
        """Whether there were any since this was last asked; it does not wait."""
        has_come = False
        while True:
            try:
                self._socket.recv(1)  # of each, the rest is thrown away
            except BlockingIOError:
                return has_come
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more than there is room for
                    raise
            has_come = True
