"""One running container's network: its record, and the host ports that are held for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stackr.runtime.engine.network.endpoint import default_gateways
from stackr.runtime.engine.network.ports import HeldPort
from stackr.runtime.engine.network.store import endpoint_from, published_port_from
from stackr.runtime.engine.network.types import Endpoint, PublishedPort, SandboxInfo
from stackr.runtime.engine.state import Document

__all__ = ["Sandbox", "SandboxRecord", "sandbox_from"]


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """What the next start needs to know.

    internal: networks whose containers stay inside. publisher: the endpoint, by ID, that the
    published ports lead to; it stays so when another endpoint takes over the default route.
    project: the stack whose reserved host ports it may publish, "" for none.
    """

    container_id: str
    container_name: str
    endpoints: tuple[Endpoint, ...] = ()
    internal: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    publisher: str = ""
    dns: tuple[str, ...] = ()
    project: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def publishing(self) -> Endpoint | None:
        """The endpoint that the published ports lead to; None without any."""
        return next((e for e in self.endpoints if e.endpoint_id == self.publisher), None)

    @property
    def gateway(self) -> Endpoint | None:
        """The endpoint with the default route, to which ports are published."""
        return next((e for e in default_gateways(self.endpoints) if e.gateway), None)

    @property
    def has_resolver(self) -> bool:
        return any(endpoint.ipv4_address for endpoint in self.endpoints)

    def named(self, name: str) -> SandboxRecord:
        """The same under another container name."""
        endpoints = tuple(
            replace(
                endpoint,
                container_name=name,
                dns_names=tuple(
                    name if old == self.container_name else old for old in endpoint.dns_names
                ),
            )
            for endpoint in self.endpoints
        )
        return replace(self, container_name=name, endpoints=endpoints)


def sandbox_from(document: Document) -> SandboxRecord:
    return SandboxRecord(
        container_id=document["container_id"],
        container_name=document["container_name"],
        endpoints=tuple(endpoint_from(endpoint) for endpoint in document["endpoints"]),
        internal=tuple(document["internal"]),
        ports=tuple(published_port_from(port) for port in document["ports"]),
        publisher=document["publisher"],
        dns=tuple(document["dns"]),
        project=document.get("project", ""),
    )


@dataclass(slots=True)
class Sandbox:
    """A record with what this process holds for it. pid: 0 until the container is adopted.

    is_served: the resolver has its DNS sockets, or will be given new ones.
    """

    record: SandboxRecord
    pid: int = 0
    held: list[HeldPort] = field(default_factory=list)
    is_served: bool = False

    def info(self) -> SandboxInfo:
        return SandboxInfo(
            container_id=self.record.container_id,
            sandbox_id=self.record.container_id,
            sandbox_key=f"/proc/{self.pid}/ns/net" if self.pid else "",
            endpoints={e.network_name: e for e in self.record.endpoints},
            ports=self.record.ports,
        )

    def close_ports(self) -> None:
        """Give up the sockets; the kernel's forwarding stays."""
        for port in self.held:
            port.close()
        self.held.clear()
