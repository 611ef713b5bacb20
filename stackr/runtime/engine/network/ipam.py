"""Which subnet a network gets, and which address a container gets in it. Pure: no I/O.

Subnets are cut from pools in order, around everything that is taken. Within a subnet, addresses
are handed out in turn, so that a freed one rests until all others have been used: neighbours' and
clients' caches do not send one container's traffic to the next, and who comes back finds its own
free. Source: libnetwork's IPAM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from heapq import merge
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    NetmaskValueError,
    ip_address,
    ip_network,
)
from typing import NamedTuple

from stackr.errors import InvalidArgument, PermissionDenied, Unavailable
from stackr.runtime.engine.config import AddressPool
from stackr.runtime.engine.network.types import IpamPool

__all__ = [
    "Address",
    "Addresses",
    "Run",
    "Span",
    "Subnet",
    "choose_subnet",
    "overlapping",
    "parse_address",
    "requested_subnet",
    "resolve_pool",
    "ula_pool",
]

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network


Run = tuple[int, int]
"""The lowest and the highest of addresses that follow one another, as numbers."""


class Span(NamedTuple):
    """The addresses of a subnet, as numbers: thousands are compared in a moment."""

    low: int
    high: int
    version: int
    name: str

    @classmethod
    def of(cls, subnet: Subnet, name: str) -> Span:
        bounds = int(subnet.network_address), int(subnet.broadcast_address)
        return cls(*bounds, subnet.version, name)


def parse_address(text: str, what: str) -> Address:
    """Raises InvalidArgument that names `what`."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid {what} {text!r}: not an IP address") from error


def _parse_subnet(text: str, what: str) -> Subnet:
    try:
        return ip_network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise InvalidArgument(f"invalid {what} {text!r}: invalid CIDR address") from error


def ula_pool(seed: bytes) -> AddressPool:
    """A /48 of unique local IPv6 addresses that stays the same for a seed, in /64 subnets.

    Source: RFC 4193, 3.2.2.
    """
    identifier = int.from_bytes(hashlib.sha256(seed).digest()[:5], "big")
    return AddressPool(IPv6Network(((0xFD << 120) | (identifier << 80), 48)), 64)


def choose_subnet(
    pools: Sequence[AddressPool], taken: Iterable[Span], version: int, runs: Sequence[Run] = ()
) -> Subnet:
    """The first subnet of the pools of this IP version that overlaps nothing taken.

    runs: what is taken besides, of this version and in order. Raises Unavailable where there is
    none.
    """
    spans = sorted((span.low, span.high) for span in taken if span.version == version)
    for pool in pools:
        if pool.base.version != version:
            continue
        start = _first_free(pool, merge(runs, spans))
        if start is not None:
            return type(pool.base)((start, pool.prefix_length))
    raise Unavailable(
        "all predefined address pools have been fully subnetted",
        hint="remove networks that are not used, or give the network a subnet",
    )


def _first_free(pool: AddressPool, runs: Iterable[Run]) -> int | None:
    """The lowest aligned start in the pool whose subnet meets none of what comes in order."""
    size = 1 << (pool.base.max_prefixlen - pool.prefix_length)
    candidate = int(pool.base.network_address)
    last = int(pool.base.broadcast_address)
    for low, high in runs:
        if high < candidate:
            continue
        if low > candidate + size - 1:
            break
        candidate = (high // size + 1) * size
    return candidate if candidate + size - 1 <= last else None


def resolve_pool(pool: IpamPool, subnet: Subnet) -> IpamPool:
    """Fill in and check one pool: canonical texts, the gateway chosen where none is given.

    Raises InvalidArgument for a range, gateway or auxiliary address outside of the subnet.
    """
    allocator = Addresses(subnet, _ip_range(pool, subnet))
    aux = {
        name: _inside(address, subnet, f"auxiliary address {name}")
        for name, address in pool.aux_addresses.items()
    }
    for address in aux.values():
        allocator.reserve(address)
    if pool.gateway:
        gateway = _inside(pool.gateway, subnet, "gateway")
        allocator.reserve(gateway)
    else:
        gateway = allocator.allocate()
    ip_range = _ip_range(pool, subnet)
    return IpamPool(
        subnet=str(subnet),
        ip_range=str(ip_range) if ip_range else "",
        gateway=str(gateway),
        aux_addresses={name: str(address) for name, address in aux.items()},
    )


def _ip_range(pool: IpamPool, subnet: Subnet) -> Subnet | None:
    if not pool.ip_range:
        return None
    ip_range = _parse_subnet(pool.ip_range, "ip-range")
    if ip_range.version != subnet.version or not (
        ip_range.network_address in subnet and ip_range.broadcast_address in subnet
    ):
        raise InvalidArgument(f"invalid ip-range {ip_range}: not contained in subnet {subnet}")
    return ip_range


def _inside(text: str, subnet: Subnet, what: str) -> Address:
    address = parse_address(text, what)
    if address not in subnet:
        raise InvalidArgument(f"invalid {what} {address}: not contained in subnet {subnet}")
    return address


def requested_subnet(pool: IpamPool) -> Subnet | None:
    """The subnet that a pool asks for; None where it leaves the choice.

    Raises InvalidArgument for one too small to hold a gateway and a container, and for a pool
    that gives details of a subnet that it does not name.
    """
    if not pool.subnet:
        if pool.ip_range or pool.gateway or pool.aux_addresses:
            raise InvalidArgument("invalid network config: a gateway or range needs a subnet")
        return None
    subnet = _parse_subnet(pool.subnet, "subnet")
    if subnet.prefixlen > subnet.max_prefixlen - 2:
        raise InvalidArgument(f"invalid subnet {subnet}: holds no addresses for containers")
    if subnet.is_multicast or subnet.is_loopback or subnet.is_unspecified:
        raise InvalidArgument(f"invalid subnet {subnet}: not usable for containers")
    return subnet


class Addresses:
    """The addresses of one subnet: which are out, and which comes next.

    The subnet's own address is never handed out, nor IPv4's broadcast address.
    """

    def __init__(self, subnet: Subnet, ip_range: Subnet | None = None) -> None:
        self.subnet = subnet
        window = ip_range or subnet
        lowest = int(subnet.network_address) + 1
        highest = int(subnet.broadcast_address) - (1 if subnet.version == 4 else 0)
        self._first = max(int(window.network_address), lowest)
        self._last = min(int(window.broadcast_address), highest)
        self._next = self._first
        self._taken: set[int] = set()

    @classmethod
    def of_pool(cls, pool: IpamPool) -> Addresses:
        """A resolved pool's addresses, its gateway and auxiliary addresses taken."""
        subnet = ip_network(pool.subnet)
        addresses = cls(subnet, ip_network(pool.ip_range) if pool.ip_range else None)
        for text in (pool.gateway, *pool.aux_addresses.values()):
            addresses._taken.add(int(ip_address(text)))
        return addresses

    def allocate(self, resting: Sequence[Address] = ()) -> Address:
        """The next free address; raises Unavailable where there is none.

        resting: those that are given only where there is no other, the first of them first.
        """
        numbers = [int(address) for address in resting if address in self.subnet]
        number = self._next_free({*numbers}) if numbers else None
        if number is None:
            number = next((n for n in numbers if self._is_free(n)), None)
        if number is None:
            number = self._next_free(set())
        if number is None:
            raise Unavailable(
                f"no available IPv{self.subnet.version} addresses on this network's address pools"
            )
        self._taken.add(number)
        return self._address(number)

    def _next_free(self, resting: set[int]) -> int | None:
        size = self._last - self._first + 1
        candidate = self._next
        for _ in range(min(size, len(self._taken) + len(resting) + 1)):
            if candidate > self._last:
                candidate = self._first
            if candidate not in self._taken and candidate not in resting:
                self._next = candidate + 1
                return candidate
            candidate += 1
        return None

    def is_free(self, address: Address) -> bool:
        """Whether it may be handed out."""
        return self._is_free(int(address))

    def _is_free(self, number: int) -> bool:
        return self._first <= number <= self._last and number not in self._taken

    def reserve(self, address: Address) -> None:
        """Take this one; raises PermissionDenied where it is out, InvalidArgument outside."""
        number = int(address)
        if address not in self.subnet or number == int(self.subnet.network_address):
            raise InvalidArgument(f"no configured subnet contains IP address {address}")
        if self.subnet.version == 4 and address == self.subnet.broadcast_address:
            raise InvalidArgument(f"no configured subnet contains IP address {address}")
        if number in self._taken:
            raise PermissionDenied(f"Address already in use: {address}")
        self._taken.add(number)

    def release(self, address: Address) -> None:
        self._taken.discard(int(address))

    def _address(self, number: int) -> Address:
        return IPv4Address(number) if self.subnet.version == 4 else IPv6Address(number)


def overlapping(subnet: Subnet, others: Iterable[Span]) -> str | None:
    """The name of the first of the others that shares addresses with the subnet."""
    low, high, version, _ = Span.of(subnet, "")
    for other in others:
        if other.version == version and other.low <= high and low <= other.high:
            return other.name
    return None
