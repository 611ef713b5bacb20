"""Elements of nftables' sets, added and deleted by netlink: each costs the same at any number.

libnftables fetches what a set of intervals holds before it adds to it. A batch of messages is one
transaction. Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

__all__ = ["ElementChange", "SetType", "element_messages", "text_attribute"]

_ADD, _DELETE = 10 << 8 | 12, 10 << 8 | 14  # NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM
_BEGIN, _END, _NFTABLES = 0x10, 0x11, 10  # NFNL_MSG_BATCH_BEGIN, _END, NFNL_SUBSYS_NFTABLES
_REQUEST, _ACK, _CREATE = 1, 4, 0x400
_INET = 1
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_NESTED = 0x8000
_ITEM = 1
_KEY, _DATA, _FLAGS = 1, 2, 3
_VALUE = 1
_INTERVAL_END = 1
_INTERFACE_NAME = 16
_AT_ONCE = 400  # elements of a message: its attribute's length has 16 bits
_HEADER, _NFGENMSG, _ATTRIBUTE = (
    struct.Struct("=IHHII"),
    struct.Struct(">BBH"),
    struct.Struct("=HH"),
)

_ENCODERS: Mapping[str, Callable[[str], bytes]] = {
    "inet_proto": lambda text: bytes([int(text)]),
    "inet_service": lambda text: int(text).to_bytes(2, "big"),
    "ipv4_addr": lambda text: ip_address(text).packed,
    "ipv6_addr": lambda text: ip_address(text).packed,
    "ifname": lambda text: text.strip('"').encode().ljust(_INTERFACE_NAME, b"\0"),
}


@dataclass(frozen=True, slots=True)
class SetType:
    """key, data: the types of their fields, as nft names them; data: () of a set that is no map.

    is_interval: each element is a subnet.
    """

    key: tuple[str, ...]
    data: tuple[str, ...] = ()
    is_interval: bool = False

    def declared(self, name: str) -> str:
        """In nft's words."""
        kind = "map" if self.data else "set"
        data = f" : {' . '.join(self.data)}" if self.data else ""
        flags = " flags interval;" if self.is_interval else ""
        return f"{kind} {name} {{ type {' . '.join(self.key)}{data};{flags} }}"


@dataclass(frozen=True, slots=True)
class ElementChange:
    """verb: add or delete. elements: in nft's words, keys and data in turn: "6 . 80 : 1.2.3.4"."""

    verb: str
    set: str
    elements: tuple[str, ...]


def element_messages(
    table: str, sets: Mapping[str, SetType], changes: Iterable[ElementChange]
) -> list[bytes]:
    """A transaction on a table of the family inet. Raises ValueError for what is no element of such
    a set.
    """
    messages = [_message(_BEGIN, 0, 0, _NFTABLES)]
    for change in changes:
        encoded = [each for item in change.elements for each in _encoded(sets[change.set], item)]
        for start in range(0, len(encoded), _AT_ONCE):
            some = b"".join(encoded[start : start + _AT_ONCE])
            messages.append(_change(change.verb, table, change.set, some))
    return [*messages, _message(_END, 0, 0, _NFTABLES)]


def _change(verb: str, table: str, name: str, elements: bytes) -> bytes:
    kind, flags = (_ADD, _CREATE) if verb == "add" else (_DELETE, 0)
    body = (
        text_attribute(_TABLE, table)
        + text_attribute(_SET, name)
        + _attribute(_ELEMENTS | _NESTED, elements)
    )
    return _message(kind, flags | _ACK, _INET, 0, body)


def _encoded(kind: SetType, text: str) -> Iterator[bytes]:
    """An element; of a subnet where it begins, and where it is over."""
    if kind.is_interval:
        subnet = ip_network(text)
        yield _element(subnet.network_address.packed)
        behind = int(subnet.broadcast_address) + 1
        if behind < 1 << subnet.max_prefixlen:
            flags = _attribute(_FLAGS, struct.pack(">I", _INTERVAL_END))
            yield _element(behind.to_bytes(subnet.max_prefixlen // 8, "big"), flags)
        return
    key, _, data = text.partition(" : ")
    more = _nested_value(_DATA, _fields(kind.data, data)) if kind.data else b""
    yield _element(_fields(kind.key, key), more)


def _fields(types: Sequence[str], text: str) -> bytes:
    """Each fills whole words of 4 bytes, where there are several."""
    values = [_ENCODERS[t](v) for t, v in zip(types, text.split(" . "), strict=True)]
    if len(values) == 1:
        return values[0]
    return b"".join(value + b"\0" * (-len(value) % 4) for value in values)


def _element(key: bytes, more: bytes = b"") -> bytes:
    return _attribute(_ITEM | _NESTED, _nested_value(_KEY, key) + more)


def _nested_value(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, _attribute(_VALUE, value))


def text_attribute(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _attribute(kind: int, value: bytes) -> bytes:
    padding = b"\0" * (-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding


def _message(kind: int, flags: int, family: int, resource: int, body: bytes = b"") -> bytes:
    length = _HEADER.size + _NFGENMSG.size + len(body)
    header = _HEADER.pack(length, kind, flags | _REQUEST, 0, 0)
    return header + _NFGENMSG.pack(family, 0, resource) + body
