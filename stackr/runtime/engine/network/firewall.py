"""The engine's nftables table: published ports, masquerade, isolation. Text and desired content.

One table of our own, changed by transactions. A bridge or a published port is an element of a set
or map, so rules stay the same and adding one is cheap at any number. Our verdicts `accept` only end
our own chains: other tables still decide, and nothing of theirs is changed.

    prerouting, output   to one of the host's addresses and a published port: DNAT to the container
    forward              within a bridge: as it allows; from outside: answers and published ports
    input                from an internal network: to its gateway alone
    postrouting          from a subnet to the outside: masquerade; hairpins: as the bridge

Whoever flushes the ruleset takes all of this away at once. What the host sends to a bridge has
therefore a mark from here, and the bridge drops what has none (`guard.py`): without the table,
nothing is open that it keeps shut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from stackr.runtime.engine.linux.nft_elements import ElementChange, SetType
from stackr.runtime.engine.network.listing import Elements, canonical

__all__ = ["ADMITTED", "SETS", "BridgeRules", "Firewall", "Forwarding"]

ADMITTED = 1 << 24
"""The bit of a packet's mark that says: the table was there when it was sent to a bridge."""


@dataclass(frozen=True, slots=True)
class BridgeRules:
    """One bridge. subnets, gateways: canonical, one gateway each.

    icc: whether its containers may reach each other.
    """

    bridge: str
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    internal: bool = False
    icc: bool = True
    masquerade: bool = True


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A published IPv4 port. host_ip: "" for every address of the host."""

    protocol: str
    host_ip: str
    host_port: int
    container_ip: str
    container_port: int


_AT_ONCE = 50  # elements of a command: libnftables 1.0 ends a process that gets some 200
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_ICMP6 = 58
SETS: Final[Mapping[str, SetType]] = {
    "published": SetType(
        ("inet_proto", "ipv4_addr", "inet_service"), ("ipv4_addr", "inet_service")
    ),
    "published_any": SetType(("inet_proto", "inet_service"), ("ipv4_addr", "inet_service")),
    "bridges": SetType(("ifname",)),
    "internal": SetType(("ifname",)),
    "internal4": SetType(("ipv4_addr",), is_interval=True),
    "internal6": SetType(("ipv6_addr",), is_interval=True),
    "internal_gateway4": SetType(("ifname", "ipv4_addr")),
    "same_bridge": SetType(("ifname", "ifname")),
    "local4": SetType(("ipv4_addr",), is_interval=True),
    "masqueraded4": SetType(("ipv4_addr",), is_interval=True),
    "masqueraded6": SetType(("ipv6_addr",), is_interval=True),
}

# Every packet passes the base chains, and to look its bridge up is what takes time there: whatever
# else rules a packet out is asked before, above all whether it belongs to a connection.
# A container that reaches one of its own kind by a published port must be answered through the
# host, so its address is hidden too: across a bridge, the answer would come from a stranger.
# Packets for 127/8 from elsewhere than lo: `route_localnet` on our bridges lets them in, and a
# port published on 127.0.0.1 is not for the neighbours.
# A container that is in another network too may forward for its neighbours in an internal one:
# these would come to the host, and out, by the other bridge.
# From an internal network, published ports are translated like any other's, so that they end in
# `forward` instead of at the socket that holds them. IPv6 has no translation, so nothing but its
# neighbour discovery is let in.
# With br_netfilter, what a container sends to a port of its neighbour is translated and sent to the
# bridge before anything is routed, so that it has its mark by then.
# ADMITTED, LOOPBACK, PROTOCOLS and ICMP6 are filled in by `Firewall`: protocols by their numbers,
# as their names are known only where there is /etc/protocols, which small systems do not have.
_CHAINS = """\
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		ip daddr 127.0.0.0/8 iifname @bridges drop
		ip saddr @internal4 iifname @bridges iifname != @internal drop
		ip6 saddr @internal6 iifname @bridges iifname != @internal drop
	}
	chain input {
		type filter hook input priority filter; policy accept;
		iifname @internal jump from_internal
	}
	chain from_internal {
		ct state established,related accept
		iifname . ip daddr @internal_gateway4 accept
		meta l4proto ICMP6 accept
		drop
	}
	chain publish {
		meta l4proto { PROTOCOLS } dnat ip to meta l4proto . ip daddr . th dport map @published
		meta nfproto ipv4 meta l4proto { PROTOCOLS } \
dnat ip to meta l4proto . th dport map @published_any
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 return
		fib daddr type local jump publish
	}
	chain output {
		type nat hook output priority -100; policy accept;
		LOOPBACK
		fib daddr type local jump publish
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		oifname @bridges jump to_bridge
		iifname @bridges jump from_bridge
	}
	chain to_bridge {
		iifname . oifname @same_bridge accept
		iifname @internal drop
		oifname @internal drop
		ct status dnat accept
		drop
	}
	chain from_bridge {
		iifname @internal drop
		ct state invalid drop
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		oifname @bridges ct status dnat ip saddr @local4 masquerade
		oifname != @bridges ip saddr @masqueraded4 masquerade
		oifname != @bridges ip6 saddr @masqueraded6 masquerade
	}
	chain admit_translated {
		type filter hook prerouting priority filter; policy accept;
		ct status dnat iifname @bridges meta mark set meta mark or ADMITTED
	}
	chain admit {
		type filter hook postrouting priority 1000; policy accept;
		oifname @bridges meta mark set meta mark or ADMITTED
	}
"""
_UNROUTED = "ip daddr 127.0.0.0/8 return"


@dataclass(slots=True)
class Firewall:
    """What the table should hold, and what brings it there. Pure.

    `add` and `remove` record and return the change alone; `rebuild` returns the commands that make
    the whole table anew, in one transaction (established connections live on: they are
    in the kernel's connection tracking). routes_loopback: whether answers from containers may come
    to 127.0.0.1; else the sockets that hold the ports serve these.
    """

    table: str
    routes_loopback: bool = True
    bridges: dict[str, BridgeRules] = field(default_factory=dict)
    forwardings: set[Forwarding] = field(default_factory=set)

    def add(
        self, bridges: Iterable[BridgeRules] = (), forwardings: Iterable[Forwarding] = ()
    ) -> list[ElementChange]:
        new_bridges = [rules for rules in bridges if rules.bridge not in self.bridges]
        new_forwardings = [f for f in forwardings if f not in self.forwardings]
        self.bridges |= {rules.bridge: rules for rules in new_bridges}
        self.forwardings |= set(new_forwardings)
        return _changes("add", new_bridges, new_forwardings)

    def remove(
        self, bridges: Iterable[str] = (), forwardings: Iterable[Forwarding] = ()
    ) -> list[ElementChange]:
        old_bridges = [self.bridges.pop(name) for name in bridges if name in self.bridges]
        old_forwardings = [f for f in forwardings if f in self.forwardings]
        self.forwardings -= set(old_forwardings)
        return _changes("delete", old_bridges, old_forwardings)

    def rebuild(self) -> str:
        sets = "".join(f"\t{kind.declared(name)}\n" for name, kind in SETS.items())
        return (
            f"add table inet {self.table}\ndelete table inet {self.table}\n"
            f"table inet {self.table} {{\n{sets}{self._chains()}}}\n"
            + self._commands(_changes("add", self.bridges.values(), self.forwardings))
        )

    def listing(self) -> str:
        """The command that prints the table; it fails where there is none."""
        return f"list table inet {self.table}\n"

    def elements(self) -> Elements:
        """What the table's sets should hold."""
        wanted = _elements(self.bridges.values(), self.forwardings)
        return {name: frozenset(map(canonical, items)) for name, items in wanted.items()}

    def destroy(self) -> str:
        return f"add table inet {self.table}\ndelete table inet {self.table}\n"

    def _chains(self) -> str:
        loopback = "" if self.routes_loopback else _UNROUTED
        words = {
            "ADMITTED": f"{ADMITTED:#x}",
            "LOOPBACK": loopback,
            "PROTOCOLS": ", ".join(map(str, _PROTOCOLS.values())),
            "ICMP6": str(_ICMP6),
        }
        return re.sub("|".join(words), lambda found: words[found[0]], _CHAINS)

    def _commands(self, changes: Iterable[ElementChange]) -> str:
        return "".join(
            f"{change.verb} element inet {self.table} {change.set} {{ {', '.join(some)} }}\n"
            for change in changes
            for i in range(0, len(change.elements), _AT_ONCE)
            if (some := change.elements[i : i + _AT_ONCE])
        )


def _changes(
    verb: str, bridges: Iterable[BridgeRules], forwardings: Iterable[Forwarding]
) -> list[ElementChange]:
    elements = _elements(bridges, forwardings)
    return [ElementChange(verb, name, tuple(items)) for name, items in elements.items()]


def _elements(
    bridges: Iterable[BridgeRules], forwardings: Iterable[Forwarding]
) -> dict[str, list[str]]:
    """By set."""
    elements: dict[str, list[str]] = {}
    for rules in bridges:
        for name, element in _bridge_elements(rules):
            elements.setdefault(name, []).append(element)
    for forwarding in forwardings:
        name, element = _forwarding_element(forwarding)
        elements.setdefault(name, []).append(element)
    return elements


def _bridge_elements(rules: BridgeRules) -> Iterable[tuple[str, str]]:
    name = f'"{rules.bridge}"'
    yield "bridges", name
    if rules.icc:
        yield "same_bridge", f"{name} . {name}"
    if rules.internal:
        yield "internal", name
        for subnet in rules.subnets:
            yield f"internal{6 if ':' in subnet else 4}", subnet
        for gateway in rules.gateways:
            if ":" not in gateway:
                yield "internal_gateway4", f"{name} . {gateway}"
        return
    for subnet in rules.subnets:
        version = 6 if ":" in subnet else 4
        if version == 4:
            yield "local4", subnet
        if rules.masquerade:
            yield f"masqueraded{version}", subnet


def _forwarding_element(forwarding: Forwarding) -> tuple[str, str]:
    target = f"{forwarding.container_ip} . {forwarding.container_port}"
    protocol = _PROTOCOLS[forwarding.protocol]
    if not forwarding.host_ip or ip_address(forwarding.host_ip).is_unspecified:
        return "published_any", f"{protocol} . {forwarding.host_port} : {target}"
    key = f"{protocol} . {forwarding.host_ip} . {forwarding.host_port}"
    return "published", f"{key} : {target}"
