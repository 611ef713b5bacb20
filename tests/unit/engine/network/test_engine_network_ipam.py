"""Address allocation: which subnets and addresses come out, and which are refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.errors import InvalidArgument, PermissionDenied, Unavailable
from stackr.runtime.engine.config import AddressPool, EngineConfig
from stackr.runtime.engine.network import ipam
from stackr.runtime.engine.network.types import IpamPool

POOLS = (
    AddressPool(IPv4Network("172.17.0.0/16"), 24),
    AddressPool(IPv4Network("192.168.0.0/16"), 20),
    AddressPool(IPv6Network("fd00:1::/48"), 64),
)


def spans(*texts: str) -> list[ipam.Span]:
    return [ipam.Span.of(ip_network(text), text) for text in texts]


@pytest.mark.parametrize(
    ("taken", "version", "wanted"),
    [
        ([], 4, "172.17.0.0/24"),
        (["172.17.0.0/24", "172.17.1.0/24"], 4, "172.17.2.0/24"),
        (["172.17.1.0/24"], 4, "172.17.0.0/24"),
        (["172.17.0.128/25"], 4, "172.17.1.0/24"),
        (["172.16.0.0/12"], 4, "192.168.0.0/20"),
        (["172.16.0.0/12", "192.168.15.1/32"], 4, "192.168.16.0/20"),
        (["172.17.0.0/17", "172.17.0.0/24"], 4, "172.17.128.0/24"),
        (["172.17.0.0/16"], 6, "fd00:1::/64"),
        (["fd00:1::/64"], 6, "fd00:1:0:1::/64"),
    ],
)
def test_a_subnet_is_cut_around_what_is_taken(taken: list[str], version: int, wanted: str) -> None:
    assert str(ipam.choose_subnet(POOLS, spans(*taken), version)) == wanted


def test_exhausted_pools_say_so() -> None:
    with pytest.raises(Unavailable, match="all predefined address pools have been fully subnetted"):
        ipam.choose_subnet(POOLS, spans("172.16.0.0/12", "192.168.0.0/16"), 4)


@given(
    st.lists(
        st.builds(
            lambda number, prefix: IPv4Network((number, prefix), strict=False),
            st.integers(int(IPv4Address("172.16.255.0")), int(IPv4Address("172.18.0.255"))),
            st.integers(16, 32),
        ),
        max_size=12,
    )
)
def test_a_chosen_subnet_overlaps_nothing(taken: list[IPv4Network]) -> None:
    spans_taken = spans(*map(str, taken))
    chosen = ipam.choose_subnet(POOLS, spans_taken, 4)
    assert not any(chosen.overlaps(other) for other in taken)
    assert ipam.overlapping(chosen, spans_taken) is None


def test_the_one_that_a_subnet_overlaps_is_named() -> None:
    others = spans("::/8", "10.0.0.0/24", "10.0.2.0/23")
    assert ipam.overlapping(IPv4Network("10.0.1.0/24"), others) is None
    assert ipam.overlapping(IPv4Network("10.0.0.0/22"), others) == "10.0.0.0/24"
    assert ipam.overlapping(IPv4Network("10.0.3.255/32"), others) == "10.0.2.0/23"


def test_the_ula_pool_is_stable_and_differs_by_seed() -> None:
    assert ipam.ula_pool(b"one") == ipam.ula_pool(b"one")
    assert ipam.ula_pool(b"one") != ipam.ula_pool(b"two")
    assert ipam.ula_pool(b"one").base.subnet_of(IPv6Network("fd00::/8"))  # type: ignore[arg-type]


def resolved(**pool: object) -> IpamPool:
    asked = IpamPool(**pool)  # type: ignore[arg-type]
    subnet = ipam.requested_subnet(asked)
    assert subnet is not None
    return ipam.resolve_pool(asked, subnet)


def test_the_gateway_is_the_first_address_of_the_range() -> None:
    assert resolved(subnet="10.0.0.0/24").gateway == "10.0.0.1"
    assert resolved(subnet="10.0.0.0/24", ip_range="10.0.0.128/25").gateway == "10.0.0.128"
    assert resolved(subnet="10.0.0.0/24", gateway="10.0.0.254").gateway == "10.0.0.254"
    taken = {"router": "10.0.0.1"}
    assert resolved(subnet="10.0.0.0/24", aux_addresses=taken).gateway == "10.0.0.2"
    assert resolved(subnet="fd00::/64").gateway == "fd00::1"


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        ({"subnet": "10.0.0.0/99"}, "invalid subnet '10.0.0.0/99'"),
        ({"subnet": "10.0.0.0/31"}, "holds no addresses"),
        ({"subnet": "127.0.0.0/8"}, "not usable"),
        ({"subnet": "224.0.0.0/24"}, "not usable"),
        ({"gateway": "10.0.0.1"}, "needs a subnet"),
        ({"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}, "gateway 10.0.1.1: not contained"),
        ({"subnet": "10.0.0.0/24", "gateway": "x"}, "invalid gateway 'x'"),
        ({"subnet": "10.0.0.0/24", "ip_range": "10.0.1.0/25"}, "not contained in subnet"),
        ({"subnet": "10.0.0.0/24", "ip_range": "fd00::/80"}, "not contained in subnet"),
        ({"subnet": "10.0.0.0/24", "aux_addresses": {"a": "10.1.0.1"}}, "auxiliary address a"),
    ],
)
def test_a_wrong_pool_is_refused(pool: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        resolved(**pool)


def test_addresses_come_in_turn_and_freed_ones_rest() -> None:
    addresses = ipam.Addresses.of_pool(IpamPool("10.0.0.0/29", gateway="10.0.0.1"))
    first = addresses.allocate()
    assert str(first) == "10.0.0.2"
    addresses.release(first)
    given_out = [str(addresses.allocate()) for _ in range(5)]
    assert given_out == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]
    with pytest.raises(Unavailable, match="no available IPv4 addresses"):
        addresses.allocate()
    addresses.release(ip_address("10.0.0.4"))
    assert str(addresses.allocate()) == "10.0.0.4"


def test_an_address_is_reserved_once() -> None:
    addresses = ipam.Addresses.of_pool(IpamPool("10.0.0.0/24", gateway="10.0.0.1"))
    addresses.reserve(ip_address("10.0.0.2"))
    assert str(addresses.allocate()) == "10.0.0.3"
    for taken in ("10.0.0.1", "10.0.0.2"):
        with pytest.raises(PermissionDenied, match="Address already in use"):
            addresses.reserve(ip_address(taken))
    for outside in ("10.0.1.1", "10.0.0.0", "10.0.0.255", "fd00::1"):
        with pytest.raises(InvalidArgument, match="no configured subnet contains IP address"):
            addresses.reserve(ip_address(outside))


def test_a_range_limits_what_is_handed_out_only() -> None:
    pool = IpamPool("10.0.0.0/24", ip_range="10.0.0.4/30", gateway="10.0.0.1")
    addresses = ipam.Addresses.of_pool(pool)
    addresses.reserve(ip_address("10.0.0.200"))
    assert [str(addresses.allocate()) for _ in range(4)] == [f"10.0.0.{n}" for n in range(4, 8)]
    with pytest.raises(Unavailable):
        addresses.allocate()


def test_the_default_pools_leave_the_ranges_of_others_alone() -> None:
    """A dockerd that starts later takes 172.17 for docker0, whoever has it."""
    texts = ["172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "192.168.0.0/16"]
    texts += ["10.0.0.0/16", "10.88.0.0/13", "10.96.0.0/11"]
    others = [ip_network(text) for text in texts]
    pools = EngineConfig().address_pools
    assert all(pool.base.is_private for pool in pools)
    assert not [pool for pool in pools for other in others if pool.base.overlaps(other)]


def test_what_rests_is_given_where_there_is_no_other() -> None:
    addresses = ipam.Addresses.of_pool(IpamPool("10.0.0.0/29", gateway="10.0.0.1"))
    resting = [ip_address(f"10.0.0.{number}") for number in (4, 2)]
    resting.append(ip_address("fd00::2"))
    given_out = [str(addresses.allocate(resting)) for _ in range(5)]
    assert given_out == [f"10.0.0.{number}" for number in (3, 5, 6, 4, 2)]
    with pytest.raises(Unavailable, match="no available IPv4 addresses"):
        addresses.allocate(resting)
