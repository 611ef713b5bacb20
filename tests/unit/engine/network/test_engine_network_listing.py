"""The engine's table as nftables prints it."""

from __future__ import annotations

from stackr.runtime.engine.network.firewall import BridgeRules, Firewall, Forwarding
from stackr.runtime.engine.network.listing import Listing


def _with_tabs(text: str) -> str:
    return text.replace("    ", "\t")


_LISTING = _with_tabs("""\
table inet stackr {
    map published_any {
        type inet_proto . inet_service : ipv4_addr . inet_service
        elements = { 6 . 8080 : 172.18.0.2 . 80,
            17 . 53 : 172.18.0.2 . 5353 }
    }

    set bridges {
        type ifname
        elements = { "sk-1" }
    }

    set same_bridge {
        type ifname . ifname
        elements = { "sk-1" . "sk-1" }
    }

    set internal6 {
        type ipv6_addr
        flags interval
    }

    set local4 {
        type ipv4_addr
        flags interval
        elements = { 172.18.0.0/16, 172.19.0.7 }
    }

    set masqueraded4 {
        type ipv4_addr
        flags interval
        elements = { 172.18.0.0/16, 172.19.0.7 }
    }

    set masqueraded6 {
        type ipv6_addr
        flags interval
        elements = { ::ffff:1.2.0.0/112 }
    }

    chain publish {
        meta l4proto { 6, 17, 132 } dnat ip to meta l4proto . th dport map @published_any
    }
}
""")


def test_what_its_sets_hold_is_told_apart_from_its_rules() -> None:
    listing = Listing.parse(_LISTING)
    firewall = Firewall("stackr")
    subnets = ("172.18.0.0/16", "172.19.0.7/32", "::ffff:102:0/112")
    ports = [
        Forwarding("tcp", "", 8080, "172.18.0.2", 80),
        Forwarding("udp", "", 53, "172.18.0.2", 5353),
    ]
    firewall.add([BridgeRules("sk-1", subnets)], ports)
    assert listing.elements == firewall.elements()
    assert "elements" not in listing.rules
    assert listing.rules.count("set ") == 6
    assert "meta l4proto { 6, 17, 132 } dnat" in listing.rules


def test_the_order_of_elements_does_not_matter_and_each_one_does() -> None:
    moved = _LISTING.replace("172.18.0.0/16, 172.19.0.7", "172.19.0.7, 172.18.0.0/16")
    assert Listing.parse(moved) == Listing.parse(_LISTING)
    fewer = _LISTING.replace("172.18.0.0/16, 172.19.0.7", "172.18.0.0/16", 1)
    assert Listing.parse(fewer) != Listing.parse(_LISTING)
    assert Listing.parse(fewer).rules == Listing.parse(_LISTING).rules
