"""Netlink's messages as bytes: a header, and attributes by their types. Source: netlink(7)."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

__all__ = [
    "HEADER",
    "IFADDRMSG",
    "IFINFOMSG",
    "IFLA_IFNAME",
    "RTA_DST",
    "RTA_OIF",
    "RTMSG",
    "NetlinkError",
    "attributes",
    "is_missing",
    "numbered",
    "outcome",
    "split",
    "text",
]

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port."""

# How messages of links, addresses and routes begin, and some attributes. Source: rtnetlink(7)
IFINFOMSG = struct.Struct("=BxxxiI4x")  # family, index, flags
IFADDRMSG = struct.Struct("=BBxxI")  # family, prefix length, index
RTMSG = struct.Struct("=BBxxB7x")  # family, length of the destination, table
IFLA_IFNAME = 3
RTA_DST, RTA_OIF = 1, 4

_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1


class NetlinkError(OSError):
    """The kernel refused one message; `strerror` has its reason where it gives one."""


def text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def numbered(message: bytes, sequence: int) -> bytes:
    length, kind, flags, _, _ = HEADER.unpack_from(message)
    padding = b"\0" * (-len(message) % 4)
    return HEADER.pack(length, kind, flags, sequence, 0) + message[HEADER.size :] + padding


def split(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and body of each message in a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """The values of a run of attributes by their types; of two of one type, the last."""
    found, offset = {}, 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def outcome(flags: int, body: bytes) -> NetlinkError | None:
    """An NLMSG_ERROR body: a negative errno (0 is success), the query's header, attributes."""
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return None
    reason = os.strerror(-code)
    more = attributes(body[4 + HEADER.size :]) if flags & _NLM_F_ACK_TLVS else {}
    if said := more.get(_NLMSGERR_ATTR_MSG):
        reason = f"{reason}: {text(said)}"
    return NetlinkError(-code, reason)


def is_missing(error: OSError) -> bool:
    """Whether the link or address to delete was not there."""
    return error.errno in (errno.ENODEV, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ESRCH)
