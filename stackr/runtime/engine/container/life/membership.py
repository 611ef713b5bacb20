"""Networks that a container joins and leaves after its creation."""

from __future__ import annotations

from contextlib import suppress

from stackr.errors import Conflict, Internal, InvalidArgument, NotFound, PermissionDenied
from stackr.runtime.engine.container.life.networking import (
    endpoint_spec,
    uses_resolver,
)
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.contradictions import check_predefined
from stackr.runtime.engine.container.settings.spec import EndpointSettings

__all__ = ["Membership"]


class Membership:
    """The record follows the kernel: what fails there is not recorded."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._networks = parts.networks
        self._storage = parts.storage

    async def connect(self, live: Live, network: str, settings: EndpointSettings) -> None:
        """Of one that does not run, a network that it has gets other settings.

        Raises Conflict, InvalidArgument and PermissionDenied, with Docker's texts and statuses;
        NotFound for the network.
        """
        async with live.lock:
            container = live.container
            if "none" in container.endpoints:
                raise InvalidArgument(
                    "container cannot be connected to multiple networks with one of the networks in"
                    " private (none) mode"
                )
            mode = container.host_config.network_mode
            if mode == "host" or mode.startswith("container:"):
                raise Conflict(
                    "container sharing network namespace with another container or host cannot be"
                    " connected to any other network"
                )
            name = self._networks.get(network).name
            if not self._networks.get(network).is_user_defined:
                check_predefined(settings)
            if name in container.endpoints and container.pid:
                raise PermissionDenied(
                    f"endpoint with name {container.name} already exists in network {name}"
                )
            if container.pid:
                spec = endpoint_spec(name, settings)
                await self._networks.connect(container.id, spec, container.hostname)
            container.endpoints = {**container.endpoints, name: settings}
            self._store.put(container)
            self._write_resolv_conf(container)

    async def disconnect(self, live: Live, network: str, *, force: bool) -> None:
        """Raises Internal, as dockerd does, where the container is not on the network.

        force: dockerd's, for containers that it has lost; none is lost here.
        """
        async with live.lock:
            container = live.container
            with suppress(NotFound):
                network = self._networks.get(network).name
            if network not in container.endpoints:
                raise Internal(f"container {container.id} is not connected to network {network}")
            if container.pid:
                await self._networks.disconnect(container.id, network)
            container.endpoints = {n: e for n, e in container.endpoints.items() if n != network}
            self._store.put(container)
            self._write_resolv_conf(container)

    def _write_resolv_conf(self, container: Container) -> None:
        """Of one with servers of its own: which it asks depends on its networks."""
        host_config = container.host_config
        if container.pid and host_config.dns:
            text = self._networks.resolv_conf(
                host_config.dns,
                host_config.dns_search,
                host_config.dns_options,
                embedded=uses_resolver(container),
            )
            self._storage.write_resolv_conf(container, text)
