"""Settings of a create body that contradict its network mode; pure.

Asked of what the caller has said, before an image adds to it. Source: moby's runconfig, whose
texts these are.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.settings.spec import ContainerCreate, EndpointSettings

__all__ = ["check_network_mode", "check_predefined", "network_warnings"]

_SHARING = "container:"
_UNDEFINED = "can't be used with links. This would result in undefined behavior"


def check_network_mode(body: ContainerCreate) -> None:
    """Raises InvalidArgument, with Docker's text."""
    mode = body.host_config.network_mode
    if mode == _SHARING:
        raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    for is_wrong, what in _contradictions(body, mode):
        if is_wrong:
            raise InvalidArgument(f"conflicting options: {what}")
    for name, settings in body.networking_config.endpoints_config.items():
        if settings is not None and name in ("none", "host", "bridge", "default"):
            check_predefined(settings)


def check_predefined(settings: EndpointSettings) -> None:
    """Of a network that is there from the first. Raises InvalidArgument, with Docker's text."""
    ipam = settings.ipam_config
    if ipam.ipv4_address or ipam.ipv6_address:
        raise InvalidArgument(
            "user specified IP address is supported on user defined networks only"
        )


def _contradictions(body: ContainerCreate, mode: str) -> Iterator[tuple[object, str]]:
    host_config = body.host_config
    if host_config.uts_mode == "host":
        yield body.hostname, "hostname and the UTS mode"
    if mode == "host":
        yield host_config.links, f"host type networking {_UNDEFINED}"
    if mode == "host" or mode.startswith(_SHARING):
        yield body.mac_address, "mac-address and the network mode"
    if not mode.startswith(_SHARING):
        return
    yield body.hostname, "hostname and the network mode"
    yield host_config.links, f"container type network {_UNDEFINED}"
    yield host_config.dns, "dns and the network mode"
    yield host_config.extra_hosts, "custom host-to-IP mapping and the network mode"
    published = host_config.port_bindings or host_config.publish_all_ports
    yield published, "port publishing and the container type network mode"
    yield body.exposed_ports, "port exposing and the container type network mode"


def network_warnings(body: ContainerCreate) -> list[str]:
    """What the mode makes of no use."""
    host_config = body.host_config
    if host_config.network_mode == "host" and host_config.port_bindings:
        return ["Published ports are discarded when using host network mode"]
    return []
