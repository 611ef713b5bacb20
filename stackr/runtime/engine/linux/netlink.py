"""Routing netlink in batches: many messages in one `sendmsg`, one answer for each.

The messages are built by pyroute2's classes; its sockets, one message and one wait at a time, cost
13 ms for a container, these cost 1 ms. A socket belongs to the network namespace of the thread that
opened it, for as long as it lives. Source: rtnetlink(7), linux/if_link.h.
"""

from __future__ import annotations

import importlib.util
import socket
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    ip_interface,
)
from types import ModuleType
from typing import Any

from stackr.runtime.engine.linux.netlink_wire import (
    HEADER,
    IFADDRMSG,
    IFINFOMSG,
    IFLA_IFNAME,
    RTA_DST,
    RTA_OIF,
    RTMSG,
    NetlinkError,
    attributes,
    is_missing,
    numbered,
    outcome,
    split,
    text,
)

__all__ = [
    "Link",
    "NetlinkError",
    "RouteSocket",
    "add_address",
    "add_default_route",
    "add_device_route",
    "add_subnet_route",
    "attributes",
    "delete_address",
    "delete_default_route",
    "delete_link",
    "is_missing",
    "new_bridge",
    "new_direct",
    "new_dummy",
    "new_veth",
    "new_vlan",
    "set_bridge_port",
    "set_link",
    "set_master",
    "split",
]

_Attributes = list[tuple[str, Any]]

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLM_F_DUMP, _NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE = 0x300, 0x100, 0x200, 0x400
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_SOL_NETLINK, _NETLINK_EXT_ACK, _NETLINK_CAP_ACK = 270, 11, 10
_NETLINK_GET_STRICT_CHK = 12
_SO_SNDBUFFORCE = 32
_IFF_UP = 1
_IFA_F_NODAD = 2
_RT_TABLE_MAIN, _RTPROT_BOOT, _RTN_UNICAST, _RT_SCOPE_UNIVERSE = 254, 3, 1, 0
_RT_SCOPE_LINK = 253
_RTPROT_KERNEL = 2
_ATTRIBUTE = struct.Struct("=HH")
_IFLA_ADDRESS, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_IFALIAS = 1, 10, 18, 20
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_BATCH = 64  # answers of one batch fit the default receive buffer
_RECEIVE_BYTES = 1 << 16
_ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. master: the bridge's index, 0 for none; alias: what `ip link` shows.

    is_up: whether it is meant to be; its other end may be down.
    """

    index: int
    name: str
    kind: str
    master: int
    alias: str
    mac: str
    is_up: bool


def _messages() -> tuple[Any, Any, Any]:
    """pyroute2's classes for links, addresses and routes.

    `import pyroute2` brings everything it has: 170 ms and 24 MB. The message classes alone cost
    12 ms and 2 MB, so the package's `__init__` is kept from running while they are imported.
    """
    bare = None
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        if spec is not None:
            bare = ModuleType("pyroute2")
            bare.__path__ = list(spec.submodule_search_locations or ())
            bare.__spec__ = spec
            sys.modules["pyroute2"] = bare
    try:
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
        from pyroute2.netlink.rtnl.rtmsg import rtmsg
    finally:
        if bare is not None:
            del sys.modules["pyroute2"]
    return ifinfmsg, ifaddrmsg, rtmsg


def _encode(
    message: Any, kind: int, flags: int, fields: Mapping[str, Any], attributes: _Attributes
) -> bytes:
    for name, value in fields.items():
        message[name] = value
    message["header"]["type"] = kind
    message["header"]["flags"] = flags | _NLM_F_REQUEST | _NLM_F_ACK
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data)


def _link(kind: int, flags: int, fields: Mapping[str, Any], attributes: _Attributes) -> bytes:
    return _encode(_messages()[0](), kind, flags, fields, attributes)


def new_bridge(name: str, *, mac: str, mtu: int) -> bytes:
    """Create a bridge, up; it fails with EEXIST where the name is taken."""
    info: _Attributes = [("IFLA_INFO_KIND", "bridge")]
    attributes: _Attributes = [
        ("IFLA_IFNAME", name),
        ("IFLA_ADDRESS", mac),
        ("IFLA_MTU", mtu),
        ("IFLA_LINKINFO", {"attrs": info}),
    ]
    return _link(_RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, {}, attributes)


def new_veth(
    name: str, *, bridge: int, mtu: int, peer: str, peer_mac: str, peer_netns: int
) -> bytes:
    """Create a veth pair: this end up and on the bridge, the other in a network namespace.

    bridge: the interface's index; peer_netns: a file descriptor of the namespace.
    """
    peer_attributes: _Attributes = [
        ("IFLA_IFNAME", peer),
        ("IFLA_ADDRESS", peer_mac),
        ("IFLA_MTU", mtu),
        ("IFLA_NET_NS_FD", peer_netns),
    ]
    data: _Attributes = [("VETH_INFO_PEER", {"attrs": peer_attributes})]
    info: _Attributes = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": data})]
    attributes: _Attributes = [
        ("IFLA_IFNAME", name),
        ("IFLA_MTU", mtu),
        ("IFLA_MASTER", bridge),
        ("IFLA_LINKINFO", {"attrs": info}),
    ]
    fields = {"flags": _IFF_UP, "change": _IFF_UP}
    return _link(_RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, fields, attributes)


def _kind(name: str, kind: str, data: _Attributes, more: _Attributes) -> bytes:
    info: _Attributes = [("IFLA_INFO_KIND", kind)]
    if data:
        info.append(("IFLA_INFO_DATA", {"attrs": data}))
    attributes: _Attributes = [("IFLA_IFNAME", name), *more, ("IFLA_LINKINFO", {"attrs": info})]
    return _link(_RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, {}, attributes)


def new_dummy(name: str) -> bytes:
    """Create a link that leads nowhere."""
    return _kind(name, "dummy", [], [])


def new_vlan(name: str, *, link: int, number: int) -> bytes:
    """Create the part of a link, by its index, that has this VLAN's number."""
    return _kind(name, "vlan", [("IFLA_VLAN_ID", number)], [("IFLA_LINK", link)])


def new_direct(
    name: str, *, driver: str, link: int, mode: int, mac: str, mtu: int, netns: int | None
) -> bytes:
    """Create an interface of macvlan or ipvlan on a link, by its index.

    mode: the kernel's number. mac: "" for one by chance, or the link's own. mtu: 0 for the link's.
    netns: a file descriptor of the namespace that it is to be in; None for the socket's.
    """
    data: _Attributes = [(f"IFLA_{driver.upper()}_MODE", mode)]
    more: _Attributes = [("IFLA_LINK", link)]
    if mac:
        more.append(("IFLA_ADDRESS", mac))
    if mtu:
        more.append(("IFLA_MTU", mtu))
    if netns is not None:
        more.append(("IFLA_NET_NS_FD", netns))
    return _kind(name, driver, data, more)


def set_bridge_port(name: str, *, hairpin: bool, isolated: bool) -> bytes:
    """hairpin: a frame may go back to the port that it came from.

    isolated: no frame goes to another isolated port, only to the bridge itself.
    """
    port: _Attributes = [
        ("IFLA_BRPORT_MODE", int(hairpin)),
        ("IFLA_BRPORT_ISOLATED", int(isolated)),
    ]
    info: _Attributes = [
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        ("IFLA_INFO_SLAVE_DATA", {"attrs": port}),
    ]
    attributes: _Attributes = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": info})]
    return _link(_RTM_NEWLINK, 0, {}, attributes)


def set_link(name: str, *, up: bool = True, alias: str | None = None) -> bytes:
    attributes: _Attributes = [("IFLA_IFNAME", name)]
    if alias is not None:
        attributes.append(("IFLA_IFALIAS", alias))
    return _link(_RTM_NEWLINK, 0, {"flags": _IFF_UP if up else 0, "change": _IFF_UP}, attributes)


def set_master(name: str, bridge: int) -> bytes:
    """Put an interface on a bridge, by the bridge's index, and up."""
    attributes: _Attributes = [("IFLA_IFNAME", name), ("IFLA_MASTER", bridge)]
    return _link(_RTM_NEWLINK, 0, {"flags": _IFF_UP, "change": _IFF_UP}, attributes)


def delete_link(name: str) -> bytes:
    return _link(_RTM_DELLINK, 0, {}, [("IFLA_IFNAME", name)])


def _address(kind: int, flags: int, index: int, interface: IPv4Interface | IPv6Interface) -> bytes:
    fields: dict[str, int] = {"prefixlen": interface.network.prefixlen, "index": index}
    attributes: _Attributes = [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(interface.ip))]
    if isinstance(interface, IPv6Interface):
        # Duplicate detection would keep the address unusable for a second; we hand them out once.
        fields |= {"family": socket.AF_INET6, "flags": _IFA_F_NODAD}
    else:
        fields |= {"family": socket.AF_INET}
        if interface.network.prefixlen < 31:
            attributes.append(("IFA_BROADCAST", str(interface.network.broadcast_address)))
    return _encode(_messages()[1](), kind, flags, fields, attributes)


def add_address(index: int, interface: IPv4Interface | IPv6Interface) -> bytes:
    return _address(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_REPLACE, index, interface)


def delete_address(index: int, interface: IPv4Interface | IPv6Interface) -> bytes:
    return _address(_RTM_DELADDR, 0, index, interface)


def _default_route(kind: int, flags: int, index: int, gateway: IPv4Address | IPv6Address) -> bytes:
    fields = {
        "family": socket.AF_INET if gateway.version == 4 else socket.AF_INET6,
        "dst_len": 0,
        "table": _RT_TABLE_MAIN,
        "proto": _RTPROT_BOOT,
        "type": _RTN_UNICAST,
        "scope": _RT_SCOPE_UNIVERSE,
    }
    attributes: _Attributes = [("RTA_GATEWAY", str(gateway)), ("RTA_OIF", index)]
    return _encode(_messages()[2](), kind, flags, fields, attributes)


def add_default_route(index: int, gateway: IPv4Address | IPv6Address) -> bytes:
    """Replaces the default route of the gateway's family."""
    return _default_route(_RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_REPLACE, index, gateway)


def add_device_route(index: int, family: int) -> bytes:
    """A default route of a family that leads to an interface itself."""
    fields = {
        "family": family,
        "dst_len": 0,
        "table": _RT_TABLE_MAIN,
        "proto": _RTPROT_BOOT,
        "type": _RTN_UNICAST,
        "scope": _RT_SCOPE_LINK,
    }
    flags = _NLM_F_CREATE | _NLM_F_REPLACE
    return _encode(_messages()[2](), _RTM_NEWROUTE, flags, fields, [("RTA_OIF", index)])


def add_subnet_route(index: int, interface: IPv4Interface) -> bytes:
    """To an address's own subnet, as the kernel makes it with the address."""
    fields = {
        "family": socket.AF_INET,
        "dst_len": interface.network.prefixlen,
        "table": _RT_TABLE_MAIN,
        "proto": _RTPROT_KERNEL,
        "type": _RTN_UNICAST,
        "scope": _RT_SCOPE_LINK,
    }
    attributes: _Attributes = [
        ("RTA_DST", str(interface.network.network_address)),
        ("RTA_PREFSRC", str(interface.ip)),
        ("RTA_OIF", index),
    ]
    flags = _NLM_F_CREATE | _NLM_F_REPLACE
    return _encode(_messages()[2](), _RTM_NEWROUTE, flags, fields, attributes)


def delete_default_route(index: int, gateway: IPv4Address | IPv6Address) -> bytes:
    return _default_route(_RTM_DELROUTE, 0, index, gateway)


class RouteSocket:
    """One netlink socket; a context manager. Not for two threads at once."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        with suppress(OSError):  # of an older kernel: it tells of all, where we ask of one
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._socket.settimeout(_ANSWER_TIMEOUT_S)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> RouteSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, messages: Sequence[bytes]) -> list[NetlinkError | None]:
        """Each message's outcome, in order; a refused one does not stop those after it."""
        outcomes: list[NetlinkError | None] = []
        for start in range(0, len(messages), _BATCH):
            outcomes += self._send_batch(messages[start : start + _BATCH])
        return outcomes

    def check(self, messages: Sequence[bytes]) -> None:
        """Send; raises the first message's NetlinkError, after all have been tried."""
        for refusal in self.send(messages):
            if refusal is not None:
                raise refusal

    def links(self) -> list[Link]:
        """Every interface of the namespace."""
        query = _asking(_RTM_GETLINK, _NLM_F_DUMP, IFINFOMSG.pack(0, 0, 0))
        return [_decode(answer) for answer in self.query(query)]

    def link(self, name: str) -> Link | None:
        try:
            wanted = name.encode() + b"\0"
            attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(wanted), IFLA_IFNAME) + wanted
            query = _asking(_RTM_GETLINK, 0, IFINFOMSG.pack(0, 0, 0) + attribute)
            found = [*self.query(query)]
        except NetlinkError as error:
            if is_missing(error):
                return None
            raise
        return _decode(found[0]) if found else None

    def addresses(self, index: int) -> set[IPv4Interface | IPv6Interface]:
        """Those of an interface; none of one that is not there."""
        query = _asking(_RTM_GETADDR, _NLM_F_DUMP, IFADDRMSG.pack(0, 0, index))
        answers = (answer for answer in self._of_link(query) if _index_of(answer) == index)
        return {_decode_address(answer) for answer in answers}

    def subnets(self, index: int) -> set[IPv4Network]:
        """Where the main table's IPv4 routes lead by an interface; none where there is no such."""
        body = RTMSG.pack(socket.AF_INET, 0, _RT_TABLE_MAIN)
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + 4, RTA_OIF) + struct.pack("=I", index)
        found = set()
        for answer in self._of_link(_asking(_RTM_GETROUTE, _NLM_F_DUMP, body)):
            _, length, table = RTMSG.unpack_from(answer, HEADER.size)
            values = attributes(answer[HEADER.size + RTMSG.size :])
            link = int.from_bytes(values.get(RTA_OIF, b""), sys.byteorder)
            if table == _RT_TABLE_MAIN and link == index:
                found.add(IPv4Network((values.get(RTA_DST, bytes(4)), length)))
        return found

    def _of_link(self, query: bytes) -> list[bytes]:
        try:
            return [*self.query(query)]
        except NetlinkError as error:
            if is_missing(error):
                return []
            raise

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def _send_batch(self, messages: Sequence[bytes]) -> list[NetlinkError | None]:
        sequences = [self._next_sequence() for _ in messages]
        self._socket.send(
            b"".join(numbered(m, s) for m, s in zip(messages, sequences, strict=True))
        )
        awaited = set(sequences)
        outcomes: dict[int, NetlinkError | None] = {}
        while awaited:
            for kind, flags, sequence, body in split(self._socket.recv(_RECEIVE_BYTES)):
                if kind == _NLMSG_ERROR and sequence in awaited:
                    awaited.discard(sequence)
                    outcomes[sequence] = outcome(flags, body)
        return [outcomes[sequence] for sequence in sequences]

    def transact(self, messages: Sequence[bytes]) -> None:
        """One batch in one datagram; those within ask to be answered. Raises NetlinkError."""
        sequences = [self._next_sequence() for _ in messages]
        data = b"".join(numbered(m, s) for m, s in zip(messages, sequences, strict=True))
        if len(data) > self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(data))
        self._socket.send(data)
        awaited, failure = set(sequences[1:-1]), None
        while awaited:
            for kind, flags, sequence, body in split(self._socket.recv(_RECEIVE_BYTES)):
                if kind != _NLMSG_ERROR or sequence not in sequences:
                    continue
                awaited.discard(sequence)
                failure = failure or outcome(flags, body)
                if sequence in (sequences[0], sequences[-1]):
                    awaited.clear()  # the batch as a whole
        if failure is not None:
            raise failure

    def query(self, query: bytes) -> Iterator[bytes]:
        """The messages that answer a request, one or a dump, with their headers."""
        sequence = self._next_sequence()
        self._socket.send(numbered(query, sequence))
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            for kind, flags, answered, body in split(data):
                if answered != sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    failure = outcome(flags, body)
                    if failure is not None:
                        raise failure
                    return
                yield HEADER.pack(HEADER.size + len(body), kind, flags, answered, 0) + body


def _asking(kind: int, flags: int, body: bytes) -> bytes:
    """A request by hand: the classes take a millisecond for what is asked of each container."""
    length = HEADER.size + len(body)
    return HEADER.pack(length, kind, flags | _NLM_F_REQUEST | _NLM_F_ACK, 0, 0) + body


def _decode(answer: bytes) -> Link:
    _, index, flags = IFINFOMSG.unpack_from(answer, HEADER.size)
    found = attributes(answer[HEADER.size + IFINFOMSG.size :])
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=text(found.get(IFLA_IFNAME, b"")),
        kind=text(info.get(_IFLA_INFO_KIND, b"")),
        master=int.from_bytes(found.get(_IFLA_MASTER, b""), sys.byteorder),
        alias=text(found.get(_IFLA_IFALIAS, b"")),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        is_up=bool(flags & _IFF_UP),
    )


def _index_of(address: bytes) -> int:
    _, _, index = IFADDRMSG.unpack_from(address, HEADER.size)
    return int(index)


def _decode_address(answer: bytes) -> IPv4Interface | IPv6Interface:
    _, length, _ = IFADDRMSG.unpack_from(answer, HEADER.size)
    found = attributes(answer[HEADER.size + IFADDRMSG.size :])
    return ip_interface((found.get(_IFA_LOCAL) or found[_IFA_ADDRESS], length))
