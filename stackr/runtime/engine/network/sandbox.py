"""One running container's network: its record, and the host ports that are held for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from stackr.runtime.engine.network.endpoint import default_gateways
from stackr.runtime.engine.network.ports import HeldPort
from stackr.runtime.engine.network.store import endpoint_from, published_port_from
from stackr.runtime.engine.network.types import Endpoint, PublishedPort, SandboxInfo
from stackr.runtime.engine.records import Document, Kind

__all__ = ["SANDBOX", "Sandbox", "SandboxRecord", "all_names", "own_names", "sandbox_from"]


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """What the next start needs to know.

    internal: networks whose containers stay inside. publisher: the endpoint, by ID, that the
    published ports lead to; it stays so when another endpoint takes over the default route.
    project: the stack whose reserved host ports it may publish, "" for none.
    standby: it has neither ports nor names but its own. slot: as of ContainerNet.
    """

    container_id: str
    container_name: str
    endpoints: tuple[Endpoint, ...] = ()
    internal: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    publisher: str = ""
    dns: tuple[str, ...] = ()
    project: str = ""
    standby: bool = False
    slot: str = ""

    @property
    def publishing(self) -> Endpoint | None:
        """The endpoint that the published ports lead to; None without any."""
        return next((e for e in self.endpoints if e.endpoint_id == self.publisher), None)

    @property
    def gateway(self) -> Endpoint | None:
        """The endpoint with the default route, to which ports are published; None where that leads
        past the host's own networks.
        """
        found = next((e for e in default_gateways(self.endpoints) if e.gateway), None)
        return found if found is not None and found.driver == "bridge" else None

    @property
    def has_resolver(self) -> bool:
        return any(endpoint.ipv4_address for endpoint in self.endpoints)

    def named(self, name: str) -> SandboxRecord:
        """The same under another container name, by which it is found from now on."""
        endpoints = tuple(
            replace(
                endpoint,
                container_name=name,
                dns_names=_named(endpoint.dns_names, self.container_name, name),
            )
            for endpoint in self.endpoints
        )
        return replace(self, container_name=name, endpoints=endpoints)

    def with_names(self, hostname: str) -> SandboxRecord:
        """The same with all of its names, on the networks that have names."""
        endpoints = tuple(
            replace(e, dns_names=all_names(e, hostname)) if e.dns_names else e
            for e in self.endpoints
        )
        return replace(self, endpoints=endpoints)

    def without_names_of(self, other: SandboxRecord) -> SandboxRecord:
        """The same with its own names alone, and of these none that is the other's as well."""
        others = {e.network_id: _folded(e.dns_names) for e in other.endpoints}
        endpoints = tuple(
            replace(
                e,
                dns_names=tuple(
                    name
                    for name in own_names(e)
                    if e.dns_names and name.lower() not in others.get(e.network_id, ())
                ),
            )
            for e in self.endpoints
        )
        return replace(self, endpoints=endpoints)


def own_names(endpoint: Endpoint) -> tuple[str, ...]:
    """What only this container is found by."""
    return endpoint.container_name, endpoint.container_id[:12]


def all_names(endpoint: Endpoint, hostname: str) -> tuple[str, ...]:
    name, short_id = own_names(endpoint)
    names = (name, *endpoint.spec.aliases, short_id, hostname)
    return tuple(dict.fromkeys(name for name in names if name))


def _named(names: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    """Without any there stay none, as on the default network."""
    if not names:
        return ()
    kept = names if old in names else (old, *names)
    return tuple(dict.fromkeys(new if name == old else name for name in kept))


def _folded(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names}


def sandbox_from(document: Document) -> SandboxRecord:
    return SandboxRecord(
        container_id=document["container_id"],
        container_name=document["container_name"],
        endpoints=tuple(endpoint_from(endpoint) for endpoint in document["endpoints"]),
        internal=tuple(document["internal"]),
        ports=tuple(published_port_from(port) for port in document["ports"]),
        publisher=document["publisher"],
        dns=tuple(document["dns"]),
        project=document["project"],
        standby=document["standby"],
        slot=document["slot"],
    )


def _with_place(document: Document) -> Document:
    """To version 2: engines before leases and updates did not say whose the container is."""
    return {"project": "", "standby": False, "slot": "", **document}


def _document(record: SandboxRecord) -> Document:
    """What few endpoints have is left out where it is as with the rest."""
    document = asdict(record)
    for endpoint in document["endpoints"]:
        for name, usual in (("driver", "bridge"), ("is_routed", False)):
            if endpoint[name] == usual:
                del endpoint[name]
    return document


SANDBOX = Kind(
    "sandbox",
    parse=lambda _, document: sandbox_from(document),
    dump=_document,
    migrations=(_with_place,),
    identities={"endpoints": "endpoint_id"},
)


@dataclass(slots=True, eq=False)
class Sandbox:
    """A record with what this process holds for it. pid: 0 until the container is adopted.

    No other is the same, whatever it holds: to compare thousands by their records takes minutes.
    is_served: the resolver has its DNS sockets, or will be given new ones.
    """

    record: SandboxRecord
    pid: int = 0
    held: tuple[HeldPort, ...] = ()
    is_served: bool = False

    def info(self) -> SandboxInfo:
        return SandboxInfo(
            container_id=self.record.container_id,
            sandbox_id=self.record.container_id,
            sandbox_key=f"/proc/{self.pid}/ns/net" if self.pid else "",
            endpoints={e.network_name: e for e in self.record.endpoints},
            ports=self.record.ports,
            standby=self.record.standby,
        )

    @property
    def addresses(self) -> list[str]:
        ends = ((e.ipv4_address, e.ipv6_address) for e in self.record.endpoints)
        return [address for pair in ends for address in pair if address]
