"""Changes of links, addresses and routes as they are made, by whomever: netlink notifications.

Source: rtnetlink(7), linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from stackr.runtime.engine.linux.netlink import attributes, split
from stackr.runtime.engine.linux.notifications import Notifications

__all__ = ["LinkChange", "RouteChange", "RouteChanges", "What"]

_GROUPS = (1, 5, 7, 11)  # RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_ROUTE
_IFINFOMSG = struct.Struct("=BxxxiI4x")  # family, index, flags
_IFADDRMSG = struct.Struct("=BBxxI")  # family, prefix length, index
_RTMSG = struct.Struct("=BBxxB7x")  # family, length of the destination, table
_IFF_UP = 1
_IFLA_IFNAME = 3
_RTA_DST, _RTA_OIF = 1, 4


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
            _, index, flags = _IFINFOMSG.unpack_from(body)
            name = attributes(body[_IFINFOMSG.size :]).get(_IFLA_IFNAME, b"").rstrip(b"\0")
            is_up = bool(flags & _IFF_UP)
            yield LinkChange(What(kind), index, name.decode(errors="replace"), is_up)
        elif kind in (What.ADDRESS.value, What.NO_ADDRESS.value):
            yield LinkChange(What(kind), _IFADDRMSG.unpack_from(body)[2])
        elif kind in (What.ROUTE.value, What.NO_ROUTE.value):
            yield _route(What(kind), body)


def _route(what: What, body: bytes) -> RouteChange:
    family, length, table = _RTMSG.unpack_from(body)
    found = attributes(body[_RTMSG.size :])
    index = int.from_bytes(found.get(_RTA_OIF, b""), sys.byteorder)
    return RouteChange(what, index, family, table, found.get(_RTA_DST, b""), length)
