"""The nftables commands that changes lead to."""

from __future__ import annotations

import re

from stackr.runtime.engine.linux.nft_elements import ElementChange
from stackr.runtime.engine.network.firewall import ADMITTED, BridgeRules, Firewall, Forwarding

WEB = Forwarding("tcp", "", 8080, "172.17.0.2", 80)
LOCAL = Forwarding("udp", "127.0.0.1", 53, "172.17.0.3", 5353)


def test_a_port_is_one_element() -> None:
    firewall = Firewall("stackr")
    web = ("6 . 8080 : 172.17.0.2 . 80",)
    assert firewall.add(forwardings=[WEB]) == [ElementChange("add", "published_any", web)]
    assert firewall.add(forwardings=[WEB]) == [], "it is there"
    assert firewall.add(forwardings=[LOCAL]) == [
        ElementChange("add", "published", ("17 . 127.0.0.1 . 53 : 172.17.0.3 . 5353",))
    ]
    assert firewall.remove(forwardings=[WEB]) == [ElementChange("delete", "published_any", web)]
    assert firewall.remove(forwardings=[WEB]) == []


def test_a_bridge_is_an_element_of_each_set_that_it_belongs_to() -> None:
    firewall = Firewall("stackr")
    assert firewall.add([BridgeRules("sk-1", ("172.17.0.0/24", "fd00::/64"))]) == [
        ElementChange("add", "bridges", ('"sk-1"',)),
        ElementChange("add", "same_bridge", ('"sk-1" . "sk-1"',)),
        ElementChange("add", "local4", ("172.17.0.0/24",)),
        ElementChange("add", "masqueraded4", ("172.17.0.0/24",)),
        ElementChange("add", "masqueraded6", ("fd00::/64",)),
    ]
    inside = BridgeRules("sk-2", ("172.17.1.0/24",), ("172.17.1.1",), internal=True, icc=False)
    assert firewall.add([inside]) == [
        ElementChange("add", "bridges", ('"sk-2"',)),
        ElementChange("add", "internal", ('"sk-2"',)),
        ElementChange("add", "internal4", ("172.17.1.0/24",)),
        ElementChange("add", "internal_gateway4", ('"sk-2" . 172.17.1.1',)),
    ]
    assert ElementChange("delete", "bridges", ('"sk-1"',)) in firewall.remove(["sk-1"])
    assert firewall.remove(["sk-1"]) == []


def test_a_rebuild_replaces_the_table_with_everything() -> None:
    firewall = Firewall("stackr-1234")
    firewall.add([BridgeRules("sk-1", ("172.17.0.0/24",))], [WEB, LOCAL])
    commands = firewall.rebuild()
    assert commands.startswith(
        "add table inet stackr-1234\ndelete table inet stackr-1234\ntable inet stackr-1234 {\n"
    )
    assert "6 . 8080 : 172.17.0.2 . 80" in commands
    assert "17 . 127.0.0.1 . 53 : 172.17.0.3 . 5353" in commands
    assert commands.count("add element") == 6


def test_loopback_is_not_translated_where_its_answers_have_no_way_back() -> None:
    exception = "ip daddr 127.0.0.0/8 return\n\t\tfib daddr type local jump publish"
    assert Firewall("stackr").rebuild().count(exception) == 1, "of what comes from elsewhere"
    assert Firewall("stackr", routes_loopback=False).rebuild().count(exception) == 2


def test_what_is_sent_to_a_bridge_is_marked() -> None:
    assert f"oifname @bridges meta mark set meta mark or {ADMITTED:#x}\n" in (
        Firewall("stackr").rebuild()
    )


def test_protocols_are_numbers_as_small_systems_do_not_know_their_names() -> None:
    commands = Firewall("stackr").rebuild()
    assert "meta l4proto { 6, 17, 132 } dnat" in commands
    assert "meta l4proto 58 accept" in commands
    assert not re.search(r"\b(tcp|udp|sctp|icmp|ipv6-icmp)\b", commands)


def _rules(firewall: Firewall, chain: str) -> list[str]:
    """Without the line that says where the chain is hooked in."""
    body = firewall.rebuild().partition(f"chain {chain} {{")[2].partition("}")[0]
    return [line.strip() for line in body.strip().splitlines()][1:]


def test_what_belongs_to_a_connection_is_let_through_before_any_look_up() -> None:
    assert _rules(Firewall("stackr"), "forward")[0] == "ct state established,related accept"


def test_a_bridge_is_looked_up_where_nothing_cheaper_rules_the_packet_out() -> None:
    for chain in ("guard", "admit_translated"):
        rules = _rules(Firewall("stackr"), chain)
        assert rules
        assert not [rule for rule in rules if rule.startswith("iifname")]
