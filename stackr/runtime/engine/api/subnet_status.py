"""How many addresses of a network's subnets are in use, and how many are left; pure.

Source: Docker Engine API 1.52, "SubnetStatus".
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

from stackr.runtime.engine.network.types import Endpoint, IpamPool, Network

__all__ = ["subnet_statuses"]

_MOST: Final = 2**64 - 1


def subnet_statuses(network: Network, endpoints: Iterable[Endpoint]) -> dict[str, dict[str, int]]:
    """By subnet. endpoints: of the containers that run."""
    texts = {text for e in endpoints for text in (e.ipv4_address, e.ipv6_address) if text}
    return {pool.subnet: _status(pool, texts) for pool in network.spec.pools if pool.subnet}


def _status(pool: IpamPool, taken: Iterable[str]) -> dict[str, int]:
    subnet = ip_network(pool.subnet)
    span = ip_network(pool.ip_range) if pool.ip_range else subnet
    ends = {subnet[0], subnet[-1]} if subnet.version == 4 else {subnet[0]}
    given = {
        ip_address(text) for text in (*taken, pool.gateway, *pool.aux_addresses.values()) if text
    }
    used = ends | {address for address in given if address in subnet}
    left = span.num_addresses - sum(address in span for address in used)
    return {"IPsInUse": min(len(used), _MOST), "DynamicIPsAvailable": min(left, _MOST)}
