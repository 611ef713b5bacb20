"""Changes of links, addresses and routes as they are made, by whomever: netlink notifications.

Source: rtnetlink(7), linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from stackr.runtime.engine.linux.netlink_wire import (
    IFADDRMSG,
    IFINFOMSG,
    IFLA_IFNAME,
    RTA_DST,
    RTA_OIF,
    RTMSG,
    attributes,
    split,
    text,
)
from stackr.runtime.engine.linux.notifications import Notifications

__all__ = ["LinkChange", "RouteChange", "RouteChanges", "What"]

_GROUPS = (1, 5, 7, 11)  # RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_ROUTE
_IFF_UP = 1


class What(Enum):
    """The values are the messages' types."""

    LINK, NO_LINK = 16, 17
    ADDRESS, NO_ADDRESS = 20, 21
    ROUTE, NO_ROUTE = 24, 25


@dataclass(frozen=True, slots=True)
class LinkChange:
    """Of a link, or of one of its IPv4 addresses. name: "" of an address."""

    what: What
    index: int
    name: str = ""
    is_up: bool = False


@dataclass(frozen=True, slots=True)
class RouteChange:
    """index: of the link; 0 where it leads by several. destination: b"" is everywhere."""

    what: What
    index: int
    family: int
    table: int
    destination: bytes
    length: int


class RouteChanges:
    """Those of the network namespace of the thread that makes this, from then on."""

    def __init__(self) -> None:
        self._notifications = Notifications(socket.NETLINK_ROUTE, _GROUPS)

    def close(self) -> None:
        self._notifications.close()

    def read(self) -> Iterator[LinkChange | RouteChange | None]:
        """What has come by now, without waiting; None where some of it is lost."""
        for data in self._notifications.read():
            if data is None:
                yield None
            else:
                yield from _changes(data)


def _changes(data: bytes) -> Iterator[LinkChange | RouteChange]:
    for kind, _, _, body in split(data):
        if kind in (What.LINK.value, What.NO_LINK.value):
            _, index, flags = IFINFOMSG.unpack_from(body)
            name = text(attributes(body[IFINFOMSG.size :]).get(IFLA_IFNAME, b""))
            is_up = bool(flags & _IFF_UP)
            yield LinkChange(What(kind), index, name, is_up)
        elif kind in (What.ADDRESS.value, What.NO_ADDRESS.value):
            yield LinkChange(What(kind), IFADDRMSG.unpack_from(body)[2])
        elif kind in (What.ROUTE.value, What.NO_ROUTE.value):
            yield _route(What(kind), body)


def _route(what: What, body: bytes) -> RouteChange:
    family, length, table = RTMSG.unpack_from(body)
    found = attributes(body[RTMSG.size :])
    index = int.from_bytes(found.get(RTA_OIF, b""), sys.byteorder)
    return RouteChange(what, index, family, table, found.get(RTA_DST, b""), length)
