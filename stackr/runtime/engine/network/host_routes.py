"""Where the host's routes lead, and its nameservers are: no network of ours is put there.

Routes are read once, then kept by notices. The kernel tells what changes; most of it is of our own
bridges, and is passed over. Whatever else it is, all is read again: with thousands of networks that
takes as long as it takes to make one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Protocol

from stackr.runtime.engine.linux.route_monitor import LinkChange, RouteChange, RouteChanges, What
from stackr.runtime.engine.network.ipam import Span, Subnet

__all__ = ["HostRoutes", "HostSubnet", "read_host_subnets", "subnets_of_nameservers"]

_ROUTES = Path("/proc/thread-self/net/route")
_ROUTES6 = Path("/proc/thread-self/net/ipv6_route")
_MAIN = 254


@dataclass(frozen=True, slots=True)
class HostSubnet:
    """Where one of the host's routes leads. on_link: to hosts on a link, not by a gateway."""

    interface: str
    span: Span
    on_link: bool

    @classmethod
    def of(cls, interface: str, subnet: Subnet, *, on_link: bool) -> HostSubnet:
        return cls(interface, Span.of(subnet, f"interface {interface} {subnet}"), on_link)


def read_host_subnets() -> Mapping[str, Sequence[HostSubnet]]:
    """By interface, without the default routes; of the calling thread's namespace."""
    found: dict[str, list[HostSubnet]] = {}
    for each in (*_subnets4(), *_subnets6()):
        found.setdefault(each.interface, []).append(each)
    return found


def subnets_of_nameservers(addresses: Iterable[str]) -> list[HostSubnet]:
    """Of the host's own, to which often nothing but its default route leads.

    addresses: as in resolv.conf; those with a zone are of one link, and left out.
    """
    found = []
    for text in addresses:
        if "%" not in text and not (address := ip_address(text)).is_loopback:
            span = Span.of(ip_network(address), f"nameserver {address}")
            found.append(HostSubnet("", span, on_link=False))
    return found


def _subnets4() -> Iterator[HostSubnet]:
    for line in _ROUTES.read_text().splitlines()[1:]:
        interface, destination, gateway, _, _, _, _, mask = line.split()[:8]
        if int(mask, 16):
            start = int.from_bytes(bytes.fromhex(destination), "little")
            subnet = IPv4Network((start, int(mask, 16).bit_count()), strict=False)
            yield HostSubnet.of(interface, subnet, on_link=int(gateway, 16) == 0)


def _subnets6() -> Iterator[HostSubnet]:
    for line in _ROUTES6.read_text().splitlines() if _ROUTES6.exists() else ():
        destination, length, _, _, gateway, *_, interface = line.split()
        if _is_of_interest(bytes.fromhex(destination), int(length, 16)):
            subnet = IPv6Network((bytes.fromhex(destination), int(length, 16)), strict=False)
            yield HostSubnet.of(interface, subnet, on_link=int(gateway, 16) == 0)


def _is_of_interest(destination: bytes, length: int) -> bool:
    """Of IPv6: no host alone, and neither of what each link has: fe80::/10, ff00::/8."""
    is_link_local = destination[:1] == b"\xfe" and destination[1] & 0xC0 == 0x80
    return 0 < length < 128 and not is_link_local and destination[:1] != b"\xff"


class _Changes(Protocol):
    def read(self) -> Iterator[LinkChange | RouteChange | None]: ...
    def close(self) -> None: ...


class HostRoutes:
    """read: all there is. changes: makes the source of what changes from then on."""

    def __init__(
        self,
        read: Callable[[], Mapping[str, Sequence[HostSubnet]]] = read_host_subnets,
        changes: Callable[[], _Changes] = RouteChanges,
        index_of: Callable[[str], int] = socket.if_nametoindex,
    ) -> None:
        self._read = read
        self._open = changes
        self._index_of = index_of
        self._changes: _Changes | None = None
        self._subnets: dict[str, Sequence[HostSubnet]] = {}
        self._own: set[int] = set()
        self._others: set[int] = set()

    def close(self) -> None:
        if self._changes is not None:
            self._changes.close()
            self._changes = None

    def subnets(self, own: Collection[str]) -> Sequence[HostSubnet]:
        """Those of all interfaces but these, which are our own bridges."""
        if self._changes is None:
            self._changes = self._open()
            is_outdated = True
        else:
            concerned = [self._concerns(change, own) for change in self._changes.read()]
            is_outdated = any(concerned)
        if is_outdated:
            self._read_all(own)
        names = self._subnets.keys() - own
        return [each for name in sorted(names) for each in self._subnets[name]]

    def _read_all(self, own: Collection[str]) -> None:
        self._subnets = dict(self._read())
        self._others = set()
        for name in self._subnets:
            with suppress(OSError):  # it has gone this moment, which will be told
                (self._own if name in own else self._others).add(self._index_of(name))

    def _concerns(self, change: LinkChange | RouteChange | None, own: Collection[str]) -> bool:
        """Whether all is to be read again."""
        if isinstance(change, LinkChange):
            return self._heed_link(change, own)
        if change is None:
            self._own.clear()
            return True
        if change.index in self._own:
            return False
        if change.family == socket.AF_INET6:
            return _is_of_interest(change.destination, change.length)
        return change.table == _MAIN and change.length > 0

    def _heed_link(self, change: LinkChange, own: Collection[str]) -> bool:
        """IPv4 routes go in silence with a link that goes or goes down, or with its address."""
        if change.what is What.NO_LINK:
            self._own.discard(change.index)
            self._others.discard(change.index)
            self._subnets.pop(change.name, None)
            return False
        if change.name in own:
            self._own.add(change.index)
        is_loss = change.what is What.NO_ADDRESS or (change.what is What.LINK and not change.is_up)
        return is_loss and change.index in self._others
