"""What crosses the border of the network part: requests, records and answers.

Frozen values without behaviour beyond reading themselves. Addresses are text in canonical form
("172.16.0.2"), "" where there is none, as in `docker inspect`; IDs are 64 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "DIRECT_DRIVERS",
    "Connections",
    "ContainerNet",
    "Endpoint",
    "EndpointSpec",
    "Fault",
    "IpamPool",
    "Network",
    "NetworkSpec",
    "Publication",
    "PublishedPort",
    "SandboxInfo",
]


DIRECT_DRIVERS = ("macvlan", "ipvlan")
"""Those whose containers are on one of the host's links by themselves; see `direct.py`."""


@dataclass(frozen=True, slots=True)
class IpamPool:
    """One entry of `IPAM.Config`; in a request every field may be ""."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The body of `POST /networks/create`."""

    name: str
    driver: str = "bridge"
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    pools: tuple[IpamPool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    config_only: bool = False
    """Settings that other networks are made with; it has no bridge, and takes no containers."""
    config_from: str = ""
    """The name of such a network."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network's record; `spec.pools` are resolved: each has its subnet and gateway.

    id: 64 hexadecimal digits; created_ns: since the epoch; scope is always "local".
    """

    id: str
    created_ns: int
    spec: NetworkSpec
    bridge: str = ""
    """The Linux interface; "" for the networks `host` and `none`, and for those without one."""
    configured_subnets: tuple[str, ...] = ()
    """Those that the request named; only in these may containers choose their addresses."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def driver(self) -> str:
        return self.spec.driver

    @property
    def is_direct(self) -> bool:
        """Whether its containers are on one of the host's links by themselves."""
        return self.spec.driver in DIRECT_DRIVERS

    @property
    def is_plugged(self) -> bool:
        """Whether its containers have interfaces and addresses of it."""
        return bool(self.bridge) or self.is_direct

    @property
    def is_predefined(self) -> bool:
        """`bridge`, `host` and `none`, which always exist and cannot be removed."""
        return self.spec.name in ("bridge", "host", "none")

    @property
    def is_user_defined(self) -> bool:
        return not self.is_predefined


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What a container asks of one network (`EndpointsConfig` of the Engine API).

    network: name, ID or unique ID prefix. aliases: further DNS names, service names included.
    gw_priority: the endpoint with the highest gives the default route (ties: by name).
    interface_name: "" for the next free `ethN`.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    gw_priority: int = 0
    interface_name: str = ""
    links: tuple[str, ...] = ()
    driver_opts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication:
    """One publication that is asked for.

    host_ip: "" for every address, IPv4 and IPv6. host_port: 0 for an ephemeral port. A
    `host_port_end` above `host_port` gives a range of which the first free port is taken.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """One host address and port that leads to a container's port (`NetworkSettings.Ports`)."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class ContainerNet:
    """A container as the network part sees it.

    name: without the leading slash. dns: upstream resolvers instead of the host's.
    endpoints: one per network; the network `none` or `host` stands alone.
    project: the stack it belongs to, whose reserved host ports it may publish; "" for none.
    standby: it answers to its own name alone, and its ports wait until it is promoted.
    slot: what it has in common with another that takes its place, and its addresses with it.
    """

    id: str
    name: str
    endpoints: tuple[EndpointSpec, ...] = ()
    ports: tuple[Publication, ...] = ()
    hostname: str = ""
    dns: tuple[str, ...] = ()
    project: str = ""
    standby: bool = False
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One container on one network (`NetworkSettings.Networks` and a network's `Containers`)."""

    network_id: str
    network_name: str
    container_id: str
    container_name: str
    endpoint_id: str
    spec: EndpointSpec
    interface: str = ""
    mac_address: str = ""
    ipv4_address: str = ""
    ipv4_prefix_length: int = 0
    gateway: str = ""
    ipv6_address: str = ""
    ipv6_prefix_length: int = 0
    ipv6_gateway: str = ""
    dns_names: tuple[str, ...] = ()
    driver: str = "bridge"
    is_routed: bool = False
    """At layer 3: its default routes lead to the interface, with no gateway."""

    @property
    def aliases(self) -> tuple[str, ...]:
        return self.spec.aliases


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """What a started container got. endpoints: by network name, in the order of the request.

    standby: without its ports and aliases, as it waits for a promotion, or another replaced it.
    """

    container_id: str
    sandbox_id: str = ""
    sandbox_key: str = ""
    """`/proc/PID/ns/net` of the container's first process."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    ports: tuple[PublishedPort, ...] = ()
    standby: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of a network that the kernel does not have as it was made.

    what: `bridge`, `firewall`, `web-1.eth0`; found: "missing", "down"; wanted: what should be.
    """

    what: str
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Connections:
    """Who is being served through a container's published ports.

    tcp: connections of which one side at least may still send; udp: flows with a packet of late;
    relayed: both, of those that go through the relay.
    """

    tcp: int = 0
    udp: int = 0
    relayed: int = 0

    @property
    def total(self) -> int:
        return self.tcp + self.udp + self.relayed
