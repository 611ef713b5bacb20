"""What bridges and their ports let through by themselves, whatever becomes of the firewall.

These are filters of the interfaces' own (`linux/traffic.py`).

    bridge, sent      what the host sends to containers needs the mark that our table gives: without
                      the table nothing is forwarded to them from other networks or from outside,
                      nor by a socket that holds a published port
    bridge, received  from an internal network to its gateway alone. What is not plainly ARP or IP
                      is dropped: a second VLAN tag would bring IP past every look at it
    port, received    nothing for 127/8, to which `route_localnet` would lead. Not the bridge's own
                      filter, as with br_netfilter answers to 127.0.0.1 have that address there

Frames from one container to another on the same bridge pass the ports' filter alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from stackr.runtime.engine.linux.netlink import RouteSocket
from stackr.runtime.engine.linux.traffic import (
    DROP,
    PASS,
    Direction,
    Program,
    filter_of,
    set_filter,
)
from stackr.runtime.engine.network.firewall import ADMITTED, BridgeRules

__all__ = [
    "admission",
    "guard_bridge",
    "guard_port",
    "is_bridge_guarded",
    "is_port_guarded",
    "port_reception",
    "reception",
]

_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_JUMP_EQUAL, _JUMP_SET, _AND, _RETURN = 0x15, 0x45, 0x54, 0x06
_EXTENSION, _NETWORK_HEADER = 0xFFFFF000, 0xFFF00000  # SKF_AD_OFF, SKF_NET_OFF
_PROTOCOL, _MARK = _EXTENSION + 0, _EXTENSION + 20
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_DESTINATION4, _DESTINATION6 = 16, 24

_Instruction = tuple[int, int, int, int]


def guard_bridge(route: RouteSocket, index: int, rules: BridgeRules) -> None:
    """Raises NetlinkError from a kernel without such filters."""
    set_filter(route, index, Direction.INGRESS, reception(rules))
    set_filter(route, index, Direction.EGRESS, admission())


def guard_port(route: RouteSocket, index: int) -> None:
    """Raises NetlinkError."""
    set_filter(route, index, Direction.INGRESS, port_reception())


def is_bridge_guarded(route: RouteSocket, index: int, rules: BridgeRules) -> bool:
    return (
        filter_of(route, index, Direction.INGRESS) == reception(rules)
        and filter_of(route, index, Direction.EGRESS) == admission()
    )


def is_port_guarded(route: RouteSocket, index: int) -> bool:
    return filter_of(route, index, Direction.INGRESS) == port_reception()


def admission() -> Program:
    """For what the host sends to the bridge: IP needs the mark."""
    return [
        (_LOAD_WORD, 0, 0, _PROTOCOL),
        (_JUMP_EQUAL, 2, 0, _IPV4),
        (_JUMP_EQUAL, 1, 0, _IPV6),
        (_RETURN, 0, 0, PASS),
        (_LOAD_WORD, 0, 0, _MARK),
        (_JUMP_SET, 0, 1, ADMITTED),
        (_RETURN, 0, 0, PASS),
        (_RETURN, 0, 0, DROP),
    ]


def reception(rules: BridgeRules) -> Program:
    """For what the host receives from the bridge."""
    addresses = [ip_address(gateway) for gateway in rules.gateways]
    if rules.internal:
        ipv4 = _only([a for a in addresses if isinstance(a, IPv4Address)])
        ipv6 = _only6([a for a in addresses if isinstance(a, IPv6Address)])
    else:
        ipv4 = ipv6 = [(_RETURN, 0, 0, PASS)]
    return [
        (_LOAD_WORD, 0, 0, _PROTOCOL),
        (_JUMP_EQUAL, 0, 1, _ARP),
        (_RETURN, 0, 0, PASS),
        (_JUMP_EQUAL, 0, len(ipv4), _IPV4),
        *ipv4,
        (_JUMP_EQUAL, 0, len(ipv6), _IPV6),
        *ipv6,
        (_RETURN, 0, 0, DROP),
    ]


def port_reception() -> Program:
    """For what a container sends."""
    return [
        (_LOAD_WORD, 0, 0, _PROTOCOL),
        (_JUMP_EQUAL, 0, 3, _IPV4),
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER + _DESTINATION4),
        (_JUMP_EQUAL, 0, 1, 127),
        (_RETURN, 0, 0, DROP),
        (_RETURN, 0, 0, PASS),
    ]


def _only(addresses: Iterable[IPv4Address]) -> list[_Instruction]:
    program = [(_LOAD_WORD, 0, 0, _NETWORK_HEADER + _DESTINATION4)]
    for address in addresses:
        program += [(_JUMP_EQUAL, 0, 1, int(address)), (_RETURN, 0, 0, PASS)]
    return [*program, (_RETURN, 0, 0, DROP)]


def _only6(addresses: Iterable[IPv6Address]) -> list[_Instruction]:
    """To these, and to link-local and multicast addresses, which neighbour discovery uses."""
    program = [
        (_LOAD_HALF, 0, 0, _NETWORK_HEADER + _DESTINATION6),
        (_AND, 0, 0, 0xFF00),
        (_JUMP_EQUAL, 3, 0, 0xFF00),
        (_LOAD_HALF, 0, 0, _NETWORK_HEADER + _DESTINATION6),
        (_AND, 0, 0, 0xFFC0),
        (_JUMP_EQUAL, 0, 1, 0xFE80),
        (_RETURN, 0, 0, PASS),
    ]
    for address in addresses:
        words = [int(address) >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
        for place, word in enumerate(words):
            to_next_address = 2 * (len(words) - place) - 1
            program += [
                (_LOAD_WORD, 0, 0, _NETWORK_HEADER + _DESTINATION6 + 4 * place),
                (_JUMP_EQUAL, 0, to_next_address, word),
            ]
        program.append((_RETURN, 0, 0, PASS))
    return [*program, (_RETURN, 0, 0, DROP)]
