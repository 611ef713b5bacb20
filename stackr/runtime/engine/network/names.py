"""Which names lead to which containers, on each network. Pure, in memory.

A name belongs to a network, and several containers may share it. Names compare without regard to
case, and `NAME.NETWORK` stands for NAME on that network.
"""

from __future__ import annotations

from collections.abc import Iterable

from stackr.runtime.engine.network.types import Endpoint

__all__ = ["Names"]


class Names:
    """Endpoints by network ID and name, and by network ID and address."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, str], dict[str, Endpoint]] = {}
        self._by_address: dict[tuple[str, str], Endpoint] = {}

    def add(self, endpoint: Endpoint) -> None:
        for name in _names(endpoint):
            key = (endpoint.network_id, name)
            self._by_name.setdefault(key, {})[endpoint.endpoint_id] = endpoint
        for address in (endpoint.ipv4_address, endpoint.ipv6_address):
            if address:
                self._by_address[endpoint.network_id, address] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        for name in _names(endpoint):
            key = (endpoint.network_id, name)
            holders = self._by_name.get(key, {})
            holders.pop(endpoint.endpoint_id, None)
            if not holders:
                self._by_name.pop(key, None)
        for address in (endpoint.ipv4_address, endpoint.ipv6_address):
            self._by_address.pop((endpoint.network_id, address), None)

    def lookup(self, askers: Iterable[Endpoint], name: str) -> list[Endpoint]:
        """Whom `name` stands for, seen by a container with these endpoints."""
        wanted = name.lower().rstrip(".")
        found: dict[str, Endpoint] = {}
        for asker in askers:
            network = f".{asker.network_name.lower()}"
            for candidate in {wanted, wanted.removesuffix(network)}:
                target = _linked(asker, candidate)
                found |= self._by_name.get((asker.network_id, target), {})
        return list(found.values())

    def reverse(self, askers: Iterable[Endpoint], address: str) -> Endpoint | None:
        for asker in askers:
            found = self._by_address.get((asker.network_id, address))
            if found is not None:
                return found
        return None


def _names(endpoint: Endpoint) -> set[str]:
    return {name.lower() for name in endpoint.dns_names}


def _linked(asker: Endpoint, name: str) -> str:
    """The container behind a name that only this container has for it (`links: db:database`)."""
    for link in asker.spec.links:
        target, _, alias = link.partition(":")
        if (alias or target).lower() == name:
            return target.lower()
    return name
