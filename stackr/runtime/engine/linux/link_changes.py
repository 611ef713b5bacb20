"""Whether links, their addresses or filters have changed: the kernel's netlink notifications.

Those of other namespaces come, too, where a link of ours leads into them, as a container's pair
does. The kernel numbers such a namespace when it first tells of the link, and sends nothing of it
before that.
Source: netlink(7), `NETLINK_LISTEN_ALL_NSID`; linux/rtnetlink.h, `enum rtnetlink_groups`.
"""

from __future__ import annotations

import socket
from typing import Self

from stackr.runtime.engine.linux.notifications import Notifications

__all__ = ["LinkChanges"]

_GROUPS = (1, 4, 5, 9)  # RTNLGRP_LINK, _TC, _IPV4_IFADDR, _IPV6_IFADDR


class LinkChanges:
    """Those since it was made, in the namespace of the thread that made it and where it leads."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    @classmethod
    def open(cls) -> Self | None:
        """None where the kernel does not tell us of other namespaces."""
        try:
            return cls(Notifications(socket.NETLINK_ROUTE, _GROUPS, all_namespaces=True))
        except OSError:
            return None

    def close(self) -> None:
        self._notifications.close()

    def any(self) -> bool:
        """Whether there were any since this was last asked; it does not wait."""
        return len([*self._notifications.read()]) > 0
