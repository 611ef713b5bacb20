"""The host's routes: read once, and again only where something else than our bridges changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, ip_address

import pytest

from stackr.runtime.engine.linux.route_monitor import LinkChange, RouteChange, What
from stackr.runtime.engine.network.host_routes import HostRoutes, HostSubnet

LAN, OWN, NEW, OTHER = 2, 3, 4, 5
INDEXES = {"eth0": LAN, "sk-1": OWN}


def subnet(interface: str, text: str) -> HostSubnet:
    return HostSubnet.of(interface, IPv4Network(text), on_link=True)


def route(
    index: int, to: str = "10.0.4.0", length: int = 22, table: int = 254, *, gone: bool = False
) -> RouteChange:
    address = ip_address(to)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    what = What.NO_ROUTE if gone else What.ROUTE
    return RouteChange(what, index, family, table, address.packed, length)


def link(index: int, name: str, *, is_up: bool = True) -> LinkChange:
    return LinkChange(What.LINK, index, name, is_up)


class Host:
    """read counts the readings of all; changes: what comes before the next question."""

    def __init__(self) -> None:
        self.readings = 0
        self.changes: list[LinkChange | RouteChange | None] = []
        self.own = {"sk-1"}
        self.routes = HostRoutes(self._all, lambda: self, INDEXES.__getitem__)

    def _all(self) -> Mapping[str, Sequence[HostSubnet]]:
        self.readings += 1
        lan, own = subnet("eth0", "192.168.0.0/24"), subnet("sk-1", "10.0.0.0/22")
        return {"eth0": [lan], "sk-1": [own]}

    def read(self) -> Iterator[LinkChange | RouteChange | None]:
        changes, self.changes = self.changes, []
        yield from changes

    def close(self) -> None: ...

    def subnets(self) -> list[str]:
        return [each.span.name.split()[-1] for each in self.routes.subnets(self.own)]


def test_thousands_of_our_own_networks_take_one_reading() -> None:
    host = Host()
    host.subnets()
    for number in range(NEW, 4000):
        name = f"sk-{number}"
        host.own.add(name)
        host.changes = [
            link(number, name, is_up=False),
            link(number, name),
            LinkChange(What.ADDRESS, number),
            route(number),
            route(number, "fd00::", 64),
        ]
        assert host.subnets() == ["192.168.0.0/24"]
    for number in range(NEW, 4000):
        host.own.discard(f"sk-{number}")
        host.changes = [
            link(number, f"sk-{number}", is_up=False),
            LinkChange(What.NO_ADDRESS, number),
            route(number, gone=True),
            LinkChange(What.NO_LINK, number, f"sk-{number}"),
        ]
        assert host.subnets() == ["192.168.0.0/24"]
    assert host.readings == 1


def test_a_bridge_of_ours_that_was_read_and_went_is_nobodys() -> None:
    host = Host()
    host.subnets()
    host.own.clear()
    host.changes = [
        LinkChange(What.NO_ADDRESS, OWN),
        route(OWN, gone=True),
        LinkChange(What.NO_LINK, OWN, "sk-1"),
    ]
    assert host.subnets() == ["192.168.0.0/24"]
    assert host.readings == 1


@pytest.mark.parametrize(
    ("change", "is_read"),
    [
        (route(OTHER), True),
        (route(OTHER, gone=True), True),
        (route(0), True),  # it leads by several links
        (route(OTHER, "fd00:1::", 48), True),
        (None, True),  # some of it is lost
        (link(LAN, "eth0", is_up=False), True),
        (LinkChange(What.NO_ADDRESS, LAN), True),
        (route(OTHER, "0.0.0.0", 0), False),
        (route(OTHER, "127.0.0.0", 8, table=255), False),
        (route(OTHER, "fe80::", 64), False),
        (route(OTHER, "ff00::", 8), False),
        (route(OTHER, "fd00:1::1", 128), False),
        (link(LAN, "eth0"), False),
        (link(OTHER, "veth1", is_up=False), False),
        (LinkChange(What.NO_ADDRESS, OTHER), False),
    ],
)
def test_all_is_read_again_where_another_subnet_may_have_come_or_gone(
    change: LinkChange | RouteChange | None, is_read: bool
) -> None:
    host = Host()
    host.subnets()
    host.changes = [change]
    host.subnets()
    assert host.readings == 1 + is_read


def test_a_link_that_goes_takes_its_subnets_along() -> None:
    host = Host()
    host.subnets()
    host.changes = [LinkChange(What.NO_LINK, LAN, "eth0")]
    assert host.subnets() == []
    assert host.readings == 1
