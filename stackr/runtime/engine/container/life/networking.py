"""A container's network settings in the network part's words; pure.

Source: Docker Engine API `NetworkMode`, `EndpointsConfig`, `PortBindings`, `PublishAllPorts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stackr.errors import Conflict, InvalidArgument
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.spec import Config, EndpointSettings, HostConfig
from stackr.runtime.engine.network.endpoint_options import endpoint_sysctls, interface_name
from stackr.runtime.engine.network.types import ContainerNet, EndpointSpec, Publication
from stackr.text import whole_number

__all__ = [
    "check_ports",
    "container_net",
    "endpoint_spec",
    "has_own_network",
    "joined_containers",
    "planned_endpoints",
    "stated_addresses",
    "uses_resolver",
]

_MOST_PORT = 65535
_BRIDGE = "bridge"
_PROTOCOLS = ("tcp", "udp", "sctp")
_PROJECT_LABEL = "com.docker.compose.project"
_REPLICA_LABELS = (
    _PROJECT_LABEL,
    "com.docker.compose.service",
    "com.docker.compose.container-number",
)
_ONEOFF_LABEL = "com.docker.compose.oneoff"


def planned_endpoints(
    config: Config, host_config: HostConfig, given: dict[str, EndpointSettings | None]
) -> dict[str, EndpointSettings]:
    """Networks to join by name: the mode's first, then the others in the caller's order.

    Raises Conflict, with Docker's text, for further networks beside `host`, `none` or `container:`;
    InvalidArgument for a malformed option.
    """
    for each in given.values():
        if each is not None:
            endpoint_sysctls(each.driver_opts, "IFNAME")
    mode = "none" if config.network_disabled else host_config.network_mode
    first = _BRIDGE if mode in ("", "default") else mode
    settings = {
        _BRIDGE if name == "default" else name: value or EndpointSettings()
        for name, value in given.items()
    }
    others = [name for name in settings if name != first]
    if first.startswith("container:") or first in ("host", "none"):
        if others:
            raise Conflict(
                "container cannot be connected to network endpoints: "
                f"{', '.join(others)}: network mode is {first}"
            )
        return {} if first.startswith("container:") else {first: EndpointSettings()}
    own = settings.get(first, EndpointSettings())
    if config.mac_address and not own.mac_address:
        own = own.model_copy(update={"mac_address": config.mac_address})
    return {first: own, **{name: settings[name] for name in others}}


def joined_containers(host_config: HostConfig) -> list[str]:
    """The containers, as the caller named them, whose namespaces a container shares."""
    modes = (host_config.network_mode, host_config.ipc_mode, host_config.pid_mode)
    return [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]


def has_own_network(container: Container) -> bool:
    """Whether it gets interfaces of its own."""
    return not any(name in ("host", "none") for name in container.endpoints) and bool(
        container.endpoints
    )


def uses_resolver(container: Container) -> bool:
    """Whether it asks the engine's resolver; alone on the default bridge, where there are no names,
    it asks the servers that it is given itself, as with dockerd.
    """
    asks_itself = container.host_config.dns and set(container.endpoints) <= {_BRIDGE}
    return has_own_network(container) and not asks_itself


def container_net(container: Container, *, standby: bool = False) -> ContainerNet:
    """What the network part needs to connect the container."""
    host_config = container.host_config
    return ContainerNet(
        id=container.id,
        name=container.name,
        endpoints=tuple(endpoint_spec(name, e) for name, e in container.endpoints.items()),
        ports=tuple(_ports(container.config, host_config)) if has_own_network(container) else (),
        hostname=container.hostname,
        dns=tuple(host_config.dns),
        project=container.config.labels.get(_PROJECT_LABEL, ""),
        standby=standby,
        slot=_slot(container),
    )


def stated_addresses(containers: Iterable[Container], network: Sequence[str]) -> Iterator[str]:
    """Each on the network that a container is to have, whether it runs or not.

    network: its name and its ID; either may be what a container has been told.
    """
    for container in containers:
        for word in network:
            if (settings := container.endpoints.get(word)) is not None:
                ipam = settings.ipam_config
                yield from filter(None, (ipam.ipv4_address, ipam.ipv6_address))


def _slot(container: Container) -> str:
    """The same replica of a service, as Docker Compose's labels say; of others, the same name."""
    labels = container.config.labels
    values = [labels.get(label, "") for label in _REPLICA_LABELS]
    is_replica = all(values) and labels.get(_ONEOFF_LABEL, "False") == "False"
    return "/".join(values) if is_replica else container.name


def endpoint_spec(network: str, settings: EndpointSettings) -> EndpointSpec:
    """One network's settings in the network part's words."""
    return EndpointSpec(
        network=network,
        aliases=tuple(settings.aliases),
        ipv4_address=settings.ipam_config.ipv4_address,
        ipv6_address=settings.ipam_config.ipv6_address,
        link_local_ips=tuple(settings.ipam_config.link_local_ips),
        mac_address=settings.mac_address,
        gw_priority=settings.gw_priority,
        interface_name=interface_name(settings.driver_opts),
        links=tuple(settings.links),
        driver_opts=dict(settings.driver_opts),
    )


def check_ports(config: Config, host_config: HostConfig) -> None:
    """Raise InvalidArgument, with Docker's text, for a port that is none."""
    for _ in _ports(config, host_config):
        pass


def _ports(config: Config, host_config: HostConfig) -> Iterator[Publication]:
    for key, bindings in host_config.port_bindings.items():
        for port, protocol in _container_ports(key):
            for binding in bindings or []:
                first, last = _host_ports(binding.host_port)
                yield Publication(port, protocol, binding.host_ip, first, last)
    if host_config.publish_all_ports:
        bound = {key for key, bindings in host_config.port_bindings.items() if bindings}
        bound |= {f"{key}/tcp" for key in bound if "/" not in key}
        for key in config.exposed:
            if key not in bound:
                for port, protocol in _container_ports(key):
                    yield Publication(port, protocol)


def _container_ports(key: str) -> Iterator[tuple[int, str]]:
    """ "80/tcp", "53/udp", "8000-8010"; the protocol is TCP where it is left out."""
    numbers, _, protocol = key.partition("/")
    protocol = protocol or "tcp"
    first, last = _range(numbers, key)
    if protocol.lower() not in _PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    for port in range(first, last + 1):
        yield port, protocol.lower()


def _host_ports(text: str) -> tuple[int, int]:
    if text in ("", "0"):
        return 0, 0
    first, last = _range(text, text)
    return first, last if last > first else 0


def _range(text: str, shown: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low = whole_number(first, most=_MOST_PORT)
    high = whole_number(last, most=_MOST_PORT) if dash else low
    if not low or high is None or low > high:
        raise InvalidArgument(f'invalid port specification: "{shown}"')
    return low, high
