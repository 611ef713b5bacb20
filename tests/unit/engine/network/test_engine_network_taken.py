"""Subnets among thousands: what is taken, kept in runs, and where the next one is."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stackr.runtime.engine.config import AddressPool
from stackr.runtime.engine.network import ipam
from stackr.runtime.engine.network.taken import Taken

POOLS = (AddressPool(IPv4Network("10.0.0.0/8"), 22),)
SUBNETS = st.builds(
    lambda number, prefix: IPv4Network((number, prefix), strict=False),
    st.integers(int(IPv4Address("9.255.0.0")), int(IPv4Address("10.0.64.0"))),
    st.integers(14, 30),
)


def spans(*texts: str) -> list[ipam.Span]:
    return [ipam.Span.of(ip_network(text), text) for text in texts]


def test_networks_one_after_the_other_are_one_run() -> None:
    taken = Taken()
    for number in range(4000):
        subnet = ipam.choose_subnet(POOLS, (), 4, taken.runs(4))
        taken.put(str(number), spans(str(subnet)))
        assert len(taken.runs(4)) == 1
    taken.drop("7")
    assert len(taken.runs(4)) == 2
    assert str(ipam.choose_subnet(POOLS, (), 4, taken.runs(4))) == "10.0.28.0/22"


def test_what_the_host_has_counts_beside_the_runs() -> None:
    taken = Taken()
    taken.put("one", spans("10.0.0.0/22", "fd00::/64"))
    host = spans("10.0.4.0/24", "10.0.9.0/24")
    assert str(ipam.choose_subnet(POOLS, host, 4, taken.runs(4))) == "10.0.12.0/22"
    assert [span.name for span in taken.spans()] == ["10.0.0.0/22", "fd00::/64"]


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | SUBNETS), max_size=20))
def test_runs_are_what_is_taken_in_whatever_order_it_comes_and_goes(
    steps: list[tuple[int, IPv4Network | None]],
) -> None:
    """Those of records that overlap, too."""
    taken, there = Taken(), dict[str, IPv4Network]()
    for number, subnet in steps:
        if subnet is None:
            taken.drop(str(number))
            there.pop(str(number), None)
        else:
            taken.put(str(number), spans(str(subnet)))
            there[str(number)] = subnet
    runs = taken.runs(4)
    assert list(runs) == sorted(runs)
    assert all(low > before + 1 for (_, before), (low, _) in pairwise(runs))
    edges = {int(s[0]) for s in there.values()} | {int(s[-1]) for s in there.values()}
    for number in {near for edge in edges for near in (edge - 1, edge, edge + 1)}:
        is_taken = any(IPv4Address(number) in subnet for subnet in there.values())
        assert is_taken == any(low <= number <= high for low, high in runs)
