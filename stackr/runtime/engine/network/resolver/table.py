"""Which names lead to which containers, on each network. Pure, in memory.

A name belongs to a network, and several containers may share it. Names compare without regard to
case, and `NAME.NETWORK` stands for NAME on that network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Container", "NamedEndpoint", "Names"]


class NamedEndpoint:
    """One container on one network. names: what it is found by there, lower case.

    links: names that only this container has for others, lower case.
    """

    __slots__ = ("container", "ipv4", "ipv6", "links", "names", "network", "network_name")

    def __init__(
        self,
        *,
        container: str,
        network: str,
        network_name: str,
        names: Sequence[str] = (),
        ipv4: str = "",
        ipv6: str = "",
        links: Mapping[str, str] | None = None,
    ) -> None:
        self.container = container
        self.network = network
        self.network_name = network_name
        self.names = {name.lower() for name in names}
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.links = {name.lower(): target.lower() for name, target in (links or {}).items()}

    @property
    def full_name(self) -> str:
        return f"{self.container}.{self.network_name}"


class Container:
    """upstreams: addresses to ask for what is not ours; () for nobody, None for the host's."""

    __slots__ = ("endpoints", "id", "upstreams")

    def __init__(
        self, id: str, endpoints: Sequence[NamedEndpoint], upstreams: Sequence[str] | None = None
    ) -> None:
        self.id = id
        self.endpoints = tuple(endpoints)
        self.upstreams = None if upstreams is None else tuple(upstreams)


class Names:
    """The containers, found by network and name, and by network and address."""

    def __init__(self) -> None:
        self._containers: dict[str, Container] = {}
        self._by_name: dict[tuple[str, str], list[NamedEndpoint]] = {}
        self._by_address: dict[tuple[str, str], NamedEndpoint] = {}

    def get(self, container_id: str) -> Container | None:
        return self._containers.get(container_id)

    def put(self, container: Container) -> None:
        """Know a container, in the place of what was known of it."""
        self.remove(container.id)
        self._containers[container.id] = container
        for endpoint in container.endpoints:
            for name in endpoint.names:
                self._by_name.setdefault((endpoint.network, name), []).append(endpoint)
            for address in _addresses(endpoint):
                self._by_address[endpoint.network, address] = endpoint

    def remove(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        for endpoint in container.endpoints if container else ():
            for name in endpoint.names:
                holders = self._by_name[endpoint.network, name]
                holders.remove(endpoint)
                if not holders:
                    del self._by_name[endpoint.network, name]
            for address in _addresses(endpoint):
                if self._by_address.get((endpoint.network, address)) is endpoint:
                    del self._by_address[endpoint.network, address]

    def lookup(self, askers: Sequence[NamedEndpoint], name: str) -> list[NamedEndpoint]:
        """Whom `name` stands for, seen by a container with these endpoints."""
        wanted = name.lower()
        found: dict[int, NamedEndpoint] = {}
        for asker in askers:
            for candidate in {wanted, wanted.removesuffix(f".{asker.network_name.lower()}")}:
                target = asker.links.get(candidate, candidate)
                holders = self._by_name.get((asker.network, target), ())
                found |= {id(endpoint): endpoint for endpoint in holders}
        return list(found.values())

    def reverse(self, askers: Sequence[NamedEndpoint], address: str) -> NamedEndpoint | None:
        """Whose `address` is on one of the askers' networks."""
        for asker in askers:
            found = self._by_address.get((asker.network, address))
            if found is not None:
                return found
        return None


def _addresses(endpoint: NamedEndpoint) -> Iterator[str]:
    """Of an endpoint that has names: the default bridge's have none, and are not told."""
    if endpoint.names:
        yield from (address for address in (endpoint.ipv4, endpoint.ipv6) if address)
