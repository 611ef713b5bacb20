"""The kernel's connection tracking: make it forget UDP flows, and count what flows to an address.

A flow's address translation is fixed by its first packet. A client that keeps sending from one port
would otherwise reach the container that had the host's port before, or none, for ever. Everything
is about the calling thread's network namespace. On a kernel without connection tracking's netlink
there are no flows to speak of.
Source: linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h, nf_conntrack_tcp.h,
nf_conntrack_sctp.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from stackr.runtime.engine.linux.netlink import NetlinkError, RouteSocket

__all__ = ["RECENT_S", "count_translated_flows", "forget_udp_flows", "forget_udp_flows_from"]

RECENT_S = 10
"""A UDP flow without a packet for so long counts as ended: nothing says when it does."""

_NETLINK_NETFILTER = 12
_IPCTNL_MSG_CT_GET, _IPCTNL_MSG_CT_DELETE = 0x101, 0x102
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 1, 4, 0x300
_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY, _CTA_STATUS, _CTA_PROTOINFO = 1, 2, 3, 4
_CTA_TIMEOUT, _CTA_FILTER = 7, 25
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_SOURCE, _DESTINATION = {4: 1, 6: 3}, {4: 2, 6: 4}  # CTA_IP_V4_SRC and its kin, by IP version
_CTA_PROTO_NUM, _CTA_PROTO_DST_PORT = 1, 3
_CTA_PROTOINFO_TCP, _CTA_PROTOINFO_SCTP = 1, 3
_CTA_PROTOINFO_STATE = 1  # of either
_CTA_FILTER_ORIG_FLAGS, _CTA_FILTER_REPLY_FLAGS = 1, 2
_FILTER_IP_SRC, _FILTER_PROTO_NUM, _FILTER_PROTO_DST_PORT = 1 << 0, 1 << 3, 1 << 5
_IPS_ASSURED, _IPS_DST_NAT = 1 << 2, 1 << 5
# One side at least may still send: from SYN_SENT to CLOSE_WAIT, from COOKIE_WAIT to SHUTDOWN_RECD.
_OPEN = {socket.IPPROTO_TCP: range(1, 6), socket.IPPROTO_SCTP: range(2, 7)}
_UDP_TIMEOUT_S, _UDP_STREAM_TIMEOUT_S = 30, 120
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
_HEADER = struct.Struct("=IHHII")
_NFGENMSG = struct.Struct("=BBH")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class _Flow:
    """original: the first packet's tuple, as the kernel wrote it; source: who answers.

    port: which the first packet went to; 0 of a protocol without any.
    """

    original: bytes
    protocol: int
    port: int
    destination: Address
    source: Address
    status: int
    state: int
    timeout_s: int

    @property
    def is_translated(self) -> bool:
        """Whether it was sent to another address than it is answered from."""
        return bool(self.status & _IPS_DST_NAT)


def forget_udp_flows(ports: Collection[int]) -> None:
    """IPv4 flows to these ports of the namespace's own addresses."""
    _forget(
        _query_to_port(socket.IPPROTO_UDP, next(iter(ports)) if len(ports) == 1 else None),
        lambda flow: (
            flow.port in ports and (flow.destination != flow.source or _is_local(flow.destination))
        ),
    )


def forget_udp_flows_from(address: str) -> None:
    """Translated flows that are answered from `address`: the next packet is led anew."""
    source = ip_address(address)
    _forget(_query_from(source), lambda flow: flow.is_translated and flow.source == source)


def count_translated_flows(address: str) -> tuple[int, int]:
    """Connections (TCP, SCTP) and UDP flows that lead to `address` by another one, as published
    ports do.

    A connection counts while one side may still send; a UDP flow, for RECENT_S after a packet.
    Raises OSError.
    """
    source = ip_address(address)
    limits = {
        False: _setting("nf_conntrack_udp_timeout", _UDP_TIMEOUT_S),
        True: _setting("nf_conntrack_udp_timeout_stream", _UDP_STREAM_TIMEOUT_S),
    }
    connections = udp = 0
    for flow in _flows(_query_from(source)):
        if not flow.is_translated or flow.source != source:
            continue
        if flow.protocol in _OPEN:
            connections += flow.state in _OPEN[flow.protocol]
        elif flow.protocol == socket.IPPROTO_UDP:
            idle_s = limits[bool(flow.status & _IPS_ASSURED)] - flow.timeout_s
            udp += idle_s <= RECENT_S
    return connections, udp


def _forget(query: bytes, chosen: Callable[[_Flow], bool]) -> None:
    with suppress(NetlinkError), RouteSocket(_NETLINK_NETFILTER) as netlink:
        found = [flow for message in list(netlink.query(query)) if (flow := _flow(message))]
        netlink.send([_deletion(flow) for flow in found if _is_udp(flow) and chosen(flow)])


def _is_udp(flow: _Flow) -> bool:
    return flow.protocol == socket.IPPROTO_UDP


def _flows(query: bytes) -> Iterator[_Flow]:
    with RouteSocket(_NETLINK_NETFILTER) as netlink:
        for message in netlink.query(query):
            flow = _flow(message)
            if flow is not None:
                yield flow


# --- messages --------------------------------------------------------------------------------


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    payload = _NFGENMSG.pack(family, 0, 0) + body
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags | _NLM_F_REQUEST, 0, 0) + payload


def _query_to_port(protocol: int, port: int | None) -> bytes:
    """IPv4 flows of one protocol whose first packet went to this port, or to any."""
    number = _attribute(_CTA_PROTO_NUM, bytes([protocol]))
    flags = _FILTER_PROTO_NUM
    if port is not None:
        number += _attribute(_CTA_PROTO_DST_PORT, port.to_bytes(2, "big"))
        flags |= _FILTER_PROTO_DST_PORT
    wanted = _attribute(_CTA_TUPLE_PROTO | _NESTED, number)
    return _query(socket.AF_INET, _CTA_TUPLE_ORIG, wanted, original=flags, reply=0)


def _query_from(address: Address) -> bytes:
    """Flows that are answered from this address, at least."""
    if address.version == 6:
        # The kernel's filter takes IPv6 addresses the wrong way round: it gives all the others.
        return _message(_IPCTNL_MSG_CT_GET, _NLM_F_DUMP, socket.AF_INET6, b"")
    wanted = _attribute(_CTA_TUPLE_IP | _NESTED, _attribute(_SOURCE[4], address.packed))
    return _query(socket.AF_INET, _CTA_TUPLE_REPLY, wanted, original=0, reply=_FILTER_IP_SRC)


def _query(family: int, direction: int, wanted: bytes, *, original: int, reply: int) -> bytes:
    """All flows like `wanted`, a tuple of which these flags name the parts that count."""
    flags = _attribute(_CTA_FILTER_ORIG_FLAGS, struct.pack("=I", original))
    flags += _attribute(_CTA_FILTER_REPLY_FLAGS, struct.pack("=I", reply))
    body = _attribute(direction | _NESTED, wanted) + _attribute(_CTA_FILTER | _NESTED, flags)
    return _message(_IPCTNL_MSG_CT_GET, _NLM_F_DUMP, family, body)


def _deletion(flow: _Flow) -> bytes:
    family = socket.AF_INET if flow.source.version == 4 else socket.AF_INET6
    body = _attribute(_CTA_TUPLE_ORIG | _NESTED, flow.original)
    return _message(_IPCTNL_MSG_CT_DELETE, _NLM_F_ACK, family, body)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def _flow(message: bytes) -> _Flow | None:
    """None for one without addresses or a protocol."""
    values = _attributes(message[_HEADER.size + _NFGENMSG.size :])
    original = values.get(_CTA_TUPLE_ORIG, b"")
    destination = _address(original, _DESTINATION)
    source = _address(values.get(_CTA_TUPLE_REPLY, b""), _SOURCE)
    numbers = _attributes(_attributes(original).get(_CTA_TUPLE_PROTO, b""))
    protocol = numbers.get(_CTA_PROTO_NUM)
    if destination is None or source is None or not protocol:
        return None
    known = _attributes(values.get(_CTA_PROTOINFO, b""))
    state = _attributes(known.get(_CTA_PROTOINFO_TCP) or known.get(_CTA_PROTOINFO_SCTP, b""))
    return _Flow(
        original,
        protocol[0],
        int.from_bytes(numbers.get(_CTA_PROTO_DST_PORT, b""), "big"),
        destination,
        source,
        status=int.from_bytes(values.get(_CTA_STATUS, b""), "big"),
        state=int.from_bytes(state.get(_CTA_PROTOINFO_STATE, b""), "big"),
        timeout_s=int.from_bytes(values.get(_CTA_TIMEOUT, b""), "big"),
    )


def _address(tuple_: bytes, kinds: Mapping[int, int]) -> Address | None:
    addresses = _attributes(_attributes(tuple_).get(_CTA_TUPLE_IP, b""))
    for kind in kinds.values():
        if kind in addresses:
            return ip_address(addresses[kind])
    return None


def _is_local(address: Address) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _setting(name: str, default: int) -> int:
    try:
        return int(Path(f"/proc/sys/net/netfilter/{name}").read_text())
    except (OSError, ValueError):
        return default
