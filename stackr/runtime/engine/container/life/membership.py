"""Networks that a container joins and leaves after its creation."""

from __future__ import annotations

from contextlib import suppress

from stackr.errors import Conflict, NotFound
from stackr.runtime.engine.container.life.networking import endpoint_spec, has_own_network
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.settings.spec import EndpointSettings

__all__ = ["Membership"]


class Membership:
    """The record follows the kernel: what fails there is not recorded."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._networks = parts.networks

    async def connect(self, live: Live, network: str, settings: EndpointSettings) -> None:
        """Raises Conflict, with Docker's texts; NotFound for the network."""
        async with live.lock:
            container = live.container
            if container.endpoints and not has_own_network(container):
                raise Conflict(
                    "container sharing network namespace with another container or host cannot be"
                    " connected to any other network"
                )
            name = self._networks.get(network).name
            if name in container.endpoints:
                raise Conflict(
                    f"endpoint with name {container.name} already exists in network {name}"
                )
            if container.pid:
                spec = endpoint_spec(name, settings)
                await self._networks.connect(container.id, spec, container.hostname)
            container.endpoints = {**container.endpoints, name: settings}
            self._store.put(container)

    async def disconnect(self, live: Live, network: str, *, force: bool) -> None:
        """Raises NotFound where the container is not on the network, and `force` is not given."""
        async with live.lock:
            container = live.container
            with suppress(NotFound):
                network = self._networks.get(network).name
            if network not in container.endpoints:
                if force:
                    return
                raise NotFound(f"container {container.id} is not connected to network {network}")
            if container.pid:
                await self._networks.disconnect(container.id, network)
            container.endpoints = {n: e for n, e in container.endpoints.items() if n != network}
            self._store.put(container)
