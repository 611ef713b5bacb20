"""Make the kernel forget UDP flows to a port of the host, so that its new rules apply to them.

A flow's address translation is fixed by its first packet. A client that keeps sending from one port
would otherwise reach the container that had the host's port before, or none, for ever.
Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

from stackr.runtime.engine.linux.netlink import NetlinkError, RouteSocket

__all__ = ["forget_udp_flows"]

_NETLINK_NETFILTER = 12
_IPCTNL_MSG_CT_GET, _IPCTNL_MSG_CT_DELETE = 0x101, 0x102
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 1, 4, 0x300
_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY, _CTA_FILTER = 1, 2, 25
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_CTA_IP_V4_SRC, _CTA_IP_V4_DST = 1, 2
_CTA_PROTO_NUM, _CTA_PROTO_DST_PORT = 1, 3
_CTA_FILTER_ORIG_FLAGS, _CTA_FILTER_REPLY_FLAGS = 1, 2
_FILTER_PROTO_NUM, _FILTER_PROTO_DST_PORT = 1 << 3, 1 << 5
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_HEADER = struct.Struct("=IHHII")
_NFGENMSG = struct.pack("=BBH", socket.AF_INET, 0, 0)


def forget_udp_flows(port: int) -> None:
    """Of the calling thread's namespace: IPv4 flows to `port` of one of its own addresses.

    Nothing is done on a kernel without connection tracking's netlink: it keeps no flows for us.
    """
    try:
        with RouteSocket(_NETLINK_NETFILTER) as netlink:
            tuples = [
                original
                for message in list(netlink.query(_query(port)))
                if (original := _flow_to_this_host(message)) is not None
            ]
            netlink.send([_deletion(original) for original in tuples])
    except NetlinkError:
        return


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    payload = _NFGENMSG + body
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags | _NLM_F_REQUEST, 0, 0) + payload


def _query(port: int) -> bytes:
    """All flows, by UDP and to this port."""
    protocol = _attribute(_CTA_PROTO_NUM, bytes([socket.IPPROTO_UDP])) + _attribute(
        _CTA_PROTO_DST_PORT, port.to_bytes(2, "big")
    )
    original = _attribute(_CTA_TUPLE_PROTO | _NESTED, protocol)
    flags = struct.pack("=I", _FILTER_PROTO_NUM | _FILTER_PROTO_DST_PORT)
    wanted = _attribute(_CTA_FILTER_ORIG_FLAGS, flags) + _attribute(
        _CTA_FILTER_REPLY_FLAGS, struct.pack("=I", 0)
    )
    body = _attribute(_CTA_TUPLE_ORIG | _NESTED, original)
    return _message(
        _IPCTNL_MSG_CT_GET, _NLM_F_DUMP, body + _attribute(_CTA_FILTER | _NESTED, wanted)
    )


def _deletion(original: bytes) -> bytes:
    body = _attribute(_CTA_TUPLE_ORIG | _NESTED, original)
    return _message(_IPCTNL_MSG_CT_DELETE, _NLM_F_ACK, body)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _flow_to_this_host(message: bytes) -> bytes | None:
    """The flow's original tuple, where its destination is (or was translated from) our own."""
    flow = dict(_attributes(message[_HEADER.size + len(_NFGENMSG) :]))
    original = flow.get(_CTA_TUPLE_ORIG, b"")
    destination = _address(original, _CTA_IP_V4_DST)
    answering = _address(flow.get(_CTA_TUPLE_REPLY, b""), _CTA_IP_V4_SRC)
    if destination is None:
        return None
    return original if destination != answering or _is_local(destination) else None


def _address(tuple_: bytes, kind: int) -> bytes | None:
    addresses = dict(_attributes(tuple_)).get(_CTA_TUPLE_IP, b"")
    return dict(_attributes(addresses)).get(kind)


def _is_local(address: bytes) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip_address(address)), 0))
        except OSError:
            return False
    return True
