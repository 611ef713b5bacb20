"""What a network tells of its addresses."""

from __future__ import annotations

from stackr.runtime.engine.api.subnet_status import subnet_statuses
from stackr.runtime.engine.network.types import (
    Endpoint,
    EndpointSpec,
    IpamPool,
    Network,
    NetworkSpec,
)


def _endpoint(ipv4: str, ipv6: str = "") -> Endpoint:
    spec = EndpointSpec("app")
    return Endpoint("n", "app", "c", "c", "e", spec, ipv4_address=ipv4, ipv6_address=ipv6)


def test_addresses_are_counted_by_subnet() -> None:
    pools = (
        IpamPool("10.9.0.0/24", "10.9.0.128/25", "10.9.0.1", {"host": "10.9.0.200"}),
        IpamPool("fd00::/64", gateway="fd00::1"),
    )
    network = Network("n", 0, NetworkSpec("app", pools=pools))
    endpoints = [_endpoint("10.9.0.129", "fd00::2"), _endpoint("10.9.0.7")]
    assert subnet_statuses(network, endpoints) == {
        "10.9.0.0/24": {"IPsInUse": 6, "DynamicIPsAvailable": 125},
        "fd00::/64": {"IPsInUse": 3, "DynamicIPsAvailable": 2**64 - 3},
    }
    whole = Network("n", 0, NetworkSpec("app", pools=(IpamPool("fd00::/48", gateway="fd00::1"),)))
    assert subnet_statuses(whole, [])["fd00::/48"]["DynamicIPsAvailable"] == 2**64 - 1
    assert subnet_statuses(Network("n", 0, NetworkSpec("none", driver="null")), []) == {}
