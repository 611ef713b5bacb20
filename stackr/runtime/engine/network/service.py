"""The networks of the engine, as the container and API parts use them.

A change is recorded before it is made, and undone where it fails. A stopped container has no
record here and nothing in the kernel; a running one's record lets the next start carry on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from stackr.errors import (
    Conflict,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    StackrError,
)
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.network.bridges import Bridges
from stackr.runtime.engine.network.endpoint import host_interface
from stackr.runtime.engine.network.firewall import Firewall
from stackr.runtime.engine.network.host_routes import (
    HostRoutes,
    HostSubnet,
    subnets_of_nameservers,
)
from stackr.runtime.engine.network.ipam import parse_address
from stackr.runtime.engine.network.kernel import Kernel
from stackr.runtime.engine.network.ports import check_publication
from stackr.runtime.engine.network.repair import Repairs
from stackr.runtime.engine.network.reservations import Reservations
from stackr.runtime.engine.network.resolv import EMBEDDED_RESOLVER, HostResolver, resolv_conf
from stackr.runtime.engine.network.sandbox import Sandbox, SandboxRecord
from stackr.runtime.engine.network.sandboxes import Sandboxes
from stackr.runtime.engine.network.store import NetworkStore
from stackr.runtime.engine.network.types import (
    Connections,
    ContainerNet,
    Endpoint,
    EndpointSpec,
    Fault,
    Network,
    NetworkSpec,
    SandboxInfo,
)
from stackr.runtime.engine.state import State

__all__ = ["Networks"]

_log = logging.getLogger(__name__)


class Networks:
    """Create and remove networks; connect running containers to them."""

    def __init__(
        self,
        config: EngineConfig,
        state: State,
        events: EventBus,
        *,
        host_resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self._config = config
        self._events = events
        self._host_routes = HostRoutes()
        self._host_resolver = HostResolver(host_resolv_conf)
        self._store = NetworkStore(config, state, self._host_subnets)
        self._kernel = Kernel(Firewall(config.nft_table))
        self._bridges = Bridges(config.nft_table, self._kernel, self._store)
        self.reservations = Reservations(config.published_port_range)
        self._sandboxes = Sandboxes(
            self._kernel,
            self._store,
            state,
            self.reservations,
            config,
            host_resolv_conf,
        )
        self._keep = False
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()  # of the locks, those who wait included
        self._repairs = Repairs(self._kernel, self._bridges, self._sandboxes, self._locked)

    def _host_subnets(self, own: Collection[str]) -> Sequence[HostSubnet]:
        nameservers = self._host_resolver.read().nameservers
        return [*self._host_routes.subnets(own), *subnets_of_nameservers(nameservers)]

    # --- the engine's life -------------------------------------------------------------------

    async def open(self, *, keep: bool = False) -> None:
        """Bring the kernel in line with the records: bridges made, leftovers removed.

        keep: a container runs of which there is no record, so leftovers may be its own; the same
        holds where there are records of a newer version.

        Running containers are adopted next, one by one, then `settle` drops the others. The
        default bridge is made when the first container needs it.
        """
        self._store.load()
        await self._sandboxes.open()
        endpoints = list(self._sandboxes.endpoints())
        used = {endpoint.network_id for endpoint in endpoints}
        wanted = [n for n in self._store.all() if n.bridge and (n.is_user_defined or n.id in used)]
        pairs = {host_interface(endpoint.endpoint_id) for endpoint in endpoints}
        self._keep = keep or self._store.has_left_alone or self._sandboxes.has_left_alone
        forwardings = self._sandboxes.forwardings()
        await self._bridges.open(wanted, pairs, forwardings, sweep=not self._keep)

    async def adopt(self, container_id: str, pid: int) -> SandboxInfo:
        """Serve a container again that ran before this process started. pid: its first process.

        Raises NotFound where there is no record of its networks. What cannot be served again (the
        process has ended this moment) is logged: the engine's start goes on.
        """
        async with self._locked(container_id):
            sandbox = self._sandboxes.get(container_id)
            if sandbox is None:
                raise NotFound(f"container {container_id} has no network")
            sandbox.pid = pid
            self._sandboxes.hold_ports_again(sandbox)
            try:
                await self._sandboxes.serve(sandbox, again=True)
            except Internal as error:
                _log.warning("container %s: no names or relays: %s", container_id[:12], error)
            return sandbox.info()

    async def settle(self) -> None:
        """Drop what belongs to containers that nobody has adopted."""
        lost = [sandbox for sandbox in self._sandboxes.all() if not sandbox.pid and not self._keep]
        await asyncio.gather(*(self.detach(sandbox.record.container_id) for sandbox in lost))
        await self._sandboxes.settle()
        self.reservations.settle()
        await self._repairs.settle(self.list())

    async def close(self) -> None:
        """Containers run on. Without any, nothing of ours stays in the kernel."""
        await self._repairs.close()
        await self._sandboxes.close()
        self.reservations.close()
        await self._bridges.close(remove=not self._sandboxes.all() and not self._keep)
        await self._kernel.close()
        self._host_routes.close()

    # --- networks ----------------------------------------------------------------------------

    def heed(self, stated: Callable[[Sequence[str]], Iterable[str]]) -> None:
        """Give nobody else an address that a container states, while there are others.

        stated: those on a network, which its name and its ID tell, of all containers there are.
        """
        self._store.stated = stated

    def get(self, reference: str) -> Network:
        """By name, ID or unique ID prefix. Raises NotFound."""
        return self._store.get(reference)

    def list(self) -> list[Network]:
        return self._store.all()

    def endpoints(self, network_id: str) -> Sequence[Endpoint]:
        """The running containers on a network."""
        return [e for e in self._sandboxes.endpoints() if e.network_id == network_id]

    def sandbox(self, container_id: str) -> SandboxInfo | None:
        """A running container's networks; None for any other."""
        sandbox = self._sandboxes.get(container_id)
        return sandbox.info() if sandbox else None

    async def faults(self, reference: str) -> Sequence[Fault]:
        """What the kernel does not have of a network as it was made."""
        return await self._repairs.faults(self.get(reference))

    async def repair(self, reference: str) -> None:
        """Make again what is missing; running containers go on, and are connected again."""
        await self._repairs.repair(self.get(reference))

    async def create(self, spec: NetworkSpec) -> Network:
        """Raises AlreadyExists, InvalidArgument, NotSupported, PermissionDenied (overlap)."""
        network = self._store.define(spec)
        if not network.is_plugged:
            self._publish("create", network)
            return network
        try:
            network = await self._bridges.realise(network, is_new=True)
        except StackrError:
            # The bridge has undone itself, or is somebody else's.
            await self._bridges.forget(network)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._bridges.discard(network))
            raise
        self._publish("create", network)
        return network

    async def remove(self, reference: str) -> None:
        """Raises NotFound, and PermissionDenied for a predefined network or one in use."""
        network = self.get(reference)
        if network.is_predefined:
            raise PermissionDenied(f"{network.name} is a pre-defined network and cannot be removed")
        if self.endpoints(network.id):
            raise PermissionDenied(
                f"error while removing network: network {network.name} id {network.id}"
                " has active endpoints"
            )
        self._store.check_unused(network)
        self._store.check_removable()
        await self._bridges.discard(network)
        self._publish("destroy", network)

    async def prune(self, chosen: Callable[[Network], bool] = lambda _: True) -> Sequence[str]:
        """Remove the user-defined networks without a running container; returns their names."""
        unused = [
            network
            for network in self.list()
            if network.is_user_defined and chosen(network) and not self.endpoints(network.id)
        ]
        await asyncio.gather(*(self.remove(network.id) for network in unused))
        return [network.name for network in unused]

    # --- containers --------------------------------------------------------------------------

    async def attach(self, container: ContainerNet, pid: int) -> SandboxInfo:
        """Connect a starting container: endpoints, published ports, resolver; or nothing of it.

        pid: a process in the container's network namespace, before its program runs.
        """
        async with self._locked(container.id):
            if self._sandboxes.get(container.id) is not None:
                await self._sandboxes.drop(container.id)
            networks = [self.get(spec.network) for spec in container.endpoints]
            if len({network.id for network in networks}) != len(networks):
                raise InvalidArgument(f"container {container.name}: a network is named twice")
            for binding in container.ports:
                check_publication(binding)
            for server in container.dns:
                parse_address(server.partition("%")[0], "DNS server")
            networks = [await self._usable(network) for network in networks]
            record = SandboxRecord(
                container.id,
                container.name,
                dns=container.dns or self._config.options.dns,
                project=container.project,
                standby=container.standby,
                slot=container.slot or container.name,
            )
            sandbox = self._sandboxes.begin(record, pid)
            try:
                for network, spec in zip(networks, container.endpoints, strict=True):
                    self._sandboxes.add_endpoint(sandbox, network, spec, container.hostname)
                self._sandboxes.hold_ports(sandbox, container.ports)
                self._sandboxes.save(sandbox)
                await self._sandboxes.plug(sandbox, sandbox.record.endpoints)
                await self._sandboxes.serve(sandbox)
            except BaseException:
                await asyncio.shield(self._sandboxes.drop(container.id, now=True))
                raise
        for endpoint in sandbox.record.endpoints:
            self._publish_endpoint("connect", endpoint)
        return sandbox.info()

    async def detach(self, container_id: str) -> None:
        """A container has ended: give up its ports, addresses, names and rules."""
        async with self._locked(container_id):
            sandbox = self._sandboxes.get(container_id)
            if sandbox is None:
                return
            await self._sandboxes.drop(container_id)
        for endpoint in sandbox.record.endpoints:
            self._publish_endpoint("disconnect", endpoint)

    async def connect(self, container_id: str, spec: EndpointSpec, hostname: str = "") -> Endpoint:
        """Connect a running container to one more network.

        Raises NotFound, Conflict (host or none), PermissionDenied (connected already).
        """
        async with self._locked(container_id):
            sandbox = self._running(container_id)
            network = self.get(spec.network)
            _check_connectable(sandbox.record, network)
            network = await self._usable(network)
            endpoint = self._sandboxes.add_endpoint(sandbox, network, spec, hostname)
            try:
                self._sandboxes.save(sandbox)
                await self._sandboxes.plug(sandbox, [endpoint])
                await self._sandboxes.serve_names(sandbox)
            except BaseException:
                await asyncio.shield(self._sandboxes.withdraw(sandbox, endpoint))
                raise
        self._publish_endpoint("connect", endpoint)
        return endpoint

    async def disconnect(self, container_id: str, reference: str) -> Endpoint:
        """Disconnect a running container from a network; its other networks stay.

        Ports that were published through this network then lead through the next one with a way
        out, and are given up without one.
        """
        async with self._locked(container_id):
            sandbox = self._running(container_id)
            network = self.get(reference)
            if network.driver == "host":
                raise Conflict(
                    "container cannot be disconnected from host network or connected to host"
                    " network"
                )
            record = sandbox.record
            endpoint = next((e for e in record.endpoints if e.network_id == network.id), None)
            if endpoint is None:
                raise NotFound(
                    f"container {container_id} is not connected to network {network.name}"
                )
            await self._sandboxes.withdraw(sandbox, endpoint)
        self._publish_endpoint("disconnect", endpoint)
        return endpoint

    async def promote(
        self, container: ContainerNet, replaces: str, record: Callable[[], None]
    ) -> None:
        """A running container leaves standby: it gets its published ports and all of its names.

        replaces: the ID of another whose ports it takes over, none free for a moment, and whose
        names but its own end; "" for none. record: called within the transaction that makes the
        change last. Raises Conflict, with Docker's text, for a port that somebody else has; then
        everything is as before.
        """
        async with AsyncExitStack() as turns:
            for container_id in sorted({container.id, replaces} - {""}):
                await turns.enter_async_context(self._locked(container_id))
            self._running(container.id)
            for binding in container.ports:
                check_publication(binding)
            await self._sandboxes.promote(container, self._sandboxes.get(replaces), record)

    async def connections(self, container_id: str) -> Connections:
        """Raises Conflict where it does not run, Internal where the kernel does not tell."""
        return await self._sandboxes.connections(self._running(container_id))

    def rename(self, container_id: str, name: str) -> None:
        """A running container has another name from now on."""
        sandbox = self._sandboxes.get(container_id)
        if sandbox is not None and sandbox.record.container_name != name:
            self._sandboxes.rename(sandbox, name)

    def resolv_conf(
        self,
        dns: Sequence[str],
        search: Sequence[str],
        options: Sequence[str],
        *,
        embedded: bool,
    ) -> str:
        """A container's resolv.conf. embedded: it has a network of ours, so the resolver too.

        What is not given is as the engine's options say, or else the host's.
        """
        host, own = self._host_resolver.read(), self._config.options
        search = search or own.dns_search or host.search
        options = options or own.dns_opts or host.options
        if not embedded:
            dns = dns or own.dns
            return resolv_conf(dns or host.nameservers, search, options)
        if not any(option.startswith("ndots:") for option in options):
            options = (*options, "ndots:0")
        return resolv_conf([EMBEDDED_RESOLVER], search, options)

    # --- parts of the above ------------------------------------------------------------------

    async def _usable(self, network: Network) -> Network:
        """With its bridge; for a caller that has a container's turn."""
        if network.spec.config_only:
            raise PermissionDenied("cannot create endpoint on configuration-only network")
        await self._repairs.ensure_bridge(network)
        return await self._bridges.usable(network)

    @asynccontextmanager
    async def _locked(self, container_id: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(container_id, asyncio.Lock())
        self._users[container_id] += 1
        try:
            async with lock:
                yield
        finally:
            self._users[container_id] -= 1
            if not self._users[container_id]:
                del self._users[container_id], self._locks[container_id]

    def _running(self, container_id: str) -> Sandbox:
        sandbox = self._sandboxes.get(container_id)
        if sandbox is None:
            raise Conflict(f"container {container_id} is not running")
        return sandbox

    def _publish(self, action: str, network: Network) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._events.publish("network", action, network.id, attributes)

    def _publish_endpoint(self, action: str, endpoint: Endpoint) -> None:
        driver = endpoint.driver if endpoint.interface else endpoint.network_name
        attributes = {
            "container": endpoint.container_id,
            "name": endpoint.network_name,
            "type": "null" if driver == "none" else driver,
        }
        self._events.publish("network", action, endpoint.network_id, attributes)


def _check_connectable(record: SandboxRecord, network: Network) -> None:
    names = {endpoint.network_name for endpoint in record.endpoints}
    if network.driver == "host" or "host" in names:
        raise Conflict(
            "container cannot be disconnected from host network or connected to host network"
        )
    if network.driver == "null" or "none" in names:
        raise Conflict(
            "container cannot be connected to multiple networks with one of the networks in"
            " private (none) mode"
        )
    if network.name in names:
        raise PermissionDenied(
            f"endpoint with name {record.container_name} already exists in network {network.name}"
        )
    if not network.is_plugged:
        raise InvalidArgument(f"network {network.name} cannot be connected to")
