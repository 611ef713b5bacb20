"""The running containers: their endpoints, ports and names, made and unmade step by step.

The caller holds the container's turn. A step that fails raises; `drop` undoes whatever has been
done.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from stackr.errors import Internal, InvalidArgument, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.linux import conntrack
from stackr.runtime.engine.network import bridge
from stackr.runtime.engine.network import endpoint as kernel_endpoint
from stackr.runtime.engine.network.direct import has_way_out, is_at_layer_3, place_of
from stackr.runtime.engine.network.endpoint import Plug, host_interface
from stackr.runtime.engine.network.firewall import Forwarding
from stackr.runtime.engine.network.handover import (
    carry_out,
    forget_flows,
    forwardings_of,
    planned_move,
)
from stackr.runtime.engine.network.kernel import Host, Kernel
from stackr.runtime.engine.network.nameserver import Nameserver, check_names
from stackr.runtime.engine.network.publisher import Publisher
from stackr.runtime.engine.network.reservations import Reservations
from stackr.runtime.engine.network.sandbox import (
    SANDBOX,
    Sandbox,
    SandboxRecord,
    all_names,
    own_names,
)
from stackr.runtime.engine.network.store import NetworkStore
from stackr.runtime.engine.network.types import (
    Connections,
    ContainerNet,
    Endpoint,
    EndpointSpec,
    Network,
    Publication,
)
from stackr.runtime.engine.state import State

__all__ = ["Sandboxes"]

_LOST_PAIRS_S = 1.0
_log = logging.getLogger(__name__)


class Sandboxes:
    """By container ID; written through to the engine's state."""

    def __init__(
        self,
        kernel: Kernel,
        store: NetworkStore,
        state: State,
        reservations: Reservations,
        config: EngineConfig,
        host_resolv_conf: Path,
    ) -> None:
        self._kernel = kernel
        self._store = store
        self._state = state
        self._publisher = Publisher(
            config.relay_socket, config.published_port_range, reservations.take, self.all
        )
        reservations.lent = self._publisher.lent
        self._names = Nameserver(kernel, config.resolver_socket, host_resolv_conf, self.all)
        self._by_container: dict[str, Sandbox] = {}
        self._glimpsed: list[SandboxRecord] = []
        """Those whose records are of a newer version, as far as they can be read."""
        self._lost_pairs: set[str] = set()
        self._lost_pairs_timer: asyncio.TimerHandle | None = None
        self._deleting: asyncio.Task[None] | None = None
        self._is_closing = False

    # --- what there is -----------------------------------------------------------------------

    async def open(self) -> None:
        """Load the records of containers that ran when the engine ended; find who serves them."""
        for record in self._state.read(SANDBOX).values():
            self._by_container[record.container_id] = Sandbox(record)
        self._glimpsed = list(self._state.glimpsed(SANDBOX).values())
        for endpoint in self.endpoints():
            addresses = (endpoint.ipv4_address, endpoint.ipv6_address)
            self._store.occupy(endpoint.network_id, *addresses)
        await self._names.open()
        await self._publisher.open()

    def get(self, container_id: str) -> Sandbox | None:
        return self._by_container.get(container_id)

    def all(self) -> list[Sandbox]:
        return list(self._by_container.values())

    def endpoints(self) -> Iterable[Endpoint]:
        for record in self._records():
            yield from record.endpoints

    def forwardings(self) -> list[Forwarding]:
        return [f for record in self._records() for f in forwardings_of(record)]

    @property
    def has_left_alone(self) -> bool:
        """Whether there are records of a newer version."""
        return bool(self._state.newer(SANDBOX))

    def _records(self) -> Iterable[SandboxRecord]:
        yield from (sandbox.record for sandbox in self._by_container.values())
        yield from self._glimpsed

    def save(self, sandbox: Sandbox) -> None:
        self._state.save(SANDBOX, sandbox.record.container_id, sandbox.record)

    # --- on the way in -----------------------------------------------------------------------

    def begin(self, record: SandboxRecord, pid: int) -> Sandbox:
        self._names.prepare()
        sandbox = Sandbox(record, pid)
        self._by_container[record.container_id] = sandbox
        return sandbox

    def add_endpoint(
        self, sandbox: Sandbox, network: Network, spec: EndpointSpec, hostname: str
    ) -> Endpoint:
        """Record an endpoint, its addresses taken."""
        record = sandbox.record
        endpoint = Endpoint(
            network_id=network.id,
            network_name=network.name,
            container_id=record.container_id,
            container_name=record.container_name,
            endpoint_id=secrets.token_hex(32),
            spec=spec,
        )
        if network.is_plugged:
            endpoint = self._addressed(endpoint, record, network)
            if network.is_user_defined:
                names = own_names(endpoint) if record.standby else all_names(endpoint, hostname)
                endpoint = replace(endpoint, dns_names=names)
        internal = (*record.internal, network.id) if network.spec.internal else record.internal
        endpoints = (*record.endpoints, endpoint)
        sandbox.record = replace(record, endpoints=endpoints, internal=internal)
        return endpoint

    def hold_ports(self, sandbox: Sandbox, bindings: Sequence[Publication]) -> None:
        """A container without a way out publishes nothing, as in Docker; in standby, not yet."""
        target = sandbox.record.gateway
        if target is None or not bindings or sandbox.record.standby:
            return
        default = self._default_host_ip(target)
        project = sandbox.record.project
        host_ports = self._publisher.host_ports
        sandbox.held = host_ports.hold(bindings, target, default, project=project).ports
        ports = tuple(port.published for port in sandbox.held)
        sandbox.record = replace(sandbox.record, ports=ports, publisher=target.endpoint_id)

    def hold_ports_again(self, sandbox: Sandbox) -> None:
        """After a restart."""
        self._publisher.hold_again(sandbox)

    def plugs(self, endpoints: Sequence[Endpoint]) -> list[Plug] | None:
        """The endpoints as the kernel needs them; None in the host's own network."""
        networks = [self._store.get(endpoint.network_id) for endpoint in endpoints]
        if any(network.driver == "host" for network in networks):
            return None
        return [
            Plug(
                endpoint,
                network.bridge,
                bridge.mtu_of(network.spec),
                isolated=network.bridge != "" and not bridge.allows_communication(network),
                is_guarded=network.bridge != "" and self._kernel.firewall.routes_loopback,
                place=place_of(network) if network.is_direct else None,
            )
            for endpoint, network in zip(endpoints, networks, strict=True)
            if network.is_plugged
        ]

    async def plug(self, sandbox: Sandbox, endpoints: Sequence[Endpoint]) -> None:
        """Bring endpoints, and the sandbox's ports, to the kernel."""
        plugs = self.plugs(endpoints)
        if plugs is None:
            return
        record = sandbox.record
        # Where one fails the other goes on by itself; the undo must come after both.
        results = await asyncio.gather(
            self._kernel.call(kernel_endpoint.plug, sandbox.pid, plugs, record.endpoints),
            self._kernel.commit(self._kernel.firewall.add(forwardings=forwardings_of(record))),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await forget_flows(self._kernel, record.ports)

    async def serve(self, sandbox: Sandbox, *, again: bool = False) -> None:
        """Have its ports and names served. again: it ran before this process did."""
        self._publisher.serve(sandbox)
        await self._names.serve(sandbox, again=again)

    async def serve_names(self, sandbox: Sandbox) -> None:
        """After a change of the endpoints."""
        await self._names.serve(sandbox)

    async def settle(self) -> None:
        """Every container that runs has been adopted, and the others dropped."""
        self._names.settle()
        await self._publisher.settle()

    # --- while it runs -----------------------------------------------------------------------

    async def promote(
        self, container: ContainerNet, old: Sandbox | None, record: Callable[[], None]
    ) -> None:
        """It leaves standby, in the place of `old`, as `handover.py` says.

        record: what else is written in the records' transaction.
        """
        new = self._by_container[container.id]
        target = new.record.gateway
        default = self._default_host_ip(target) if target is not None else ""
        check_names(new.record.with_names(container.hostname))
        move = planned_move(new, old, container, self._publisher.host_ports, default)

        def write() -> None:
            with self._state.transaction():
                for changed in (move.new_record, move.old_record):
                    if changed is not None:
                        self._state.save(SANDBOX, changed.container_id, changed)
                record()

        await carry_out(move, self._kernel, self._publisher, write)
        self._names.update(new, *((old,) if old else ()))

    async def connections(self, sandbox: Sandbox) -> Connections:
        """Who is being served through published ports, its own or those that it has handed on."""
        tcp = udp = 0
        for address in sandbox.addresses:
            counted = await self._kernel.call(_count_flows, address)
            tcp, udp = tcp + counted[0], udp + counted[1]
        return Connections(tcp, udp, await self._publisher.count(sandbox))

    # --- on the way out ----------------------------------------------------------------------

    async def drop(self, container_id: str, *, now: bool = False) -> None:
        """now: delete the pairs too; else the kernel does, with the container's namespace."""
        sandbox = self._by_container[container_id]
        record = sandbox.record
        await self._publisher.release(sandbox)
        self._names.forget(sandbox)
        paired = [e for e in record.endpoints if e.interface and e.driver == "bridge"]
        pairs = {host_interface(e.endpoint_id) for e in paired}
        commands = self._kernel.firewall.remove(forwardings=forwardings_of(record))
        try:
            if now:
                await self._kernel.call(bridge.remove, pairs)
            else:
                self._lose_pairs(pairs)
            await self._kernel.commit(commands)
            if record.standby:  # who kept to it while another took its ports
                for address in sandbox.addresses:
                    await self._kernel.call(_forget_flows_from, address)
        except StackrError as error:
            _log.warning("container %s: networks not fully undone: %s", container_id, error)
        finally:
            self._by_container.pop(container_id, None)
            self._state.delete(SANDBOX.name, container_id)
            for endpoint in record.endpoints:
                self._release(endpoint)
                self._rest(endpoint, record)

    async def withdraw(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Take one endpoint from a container that runs on."""
        endpoints = tuple(e for e in sandbox.record.endpoints if e != endpoint)
        before, sandbox.record = sandbox.record, replace(sandbox.record, endpoints=endpoints)
        self._names.update(sandbox)
        if before.publishing == endpoint:
            await self._publish_elsewhere(sandbox, before)
        if endpoint.interface:
            await self._kernel.call(kernel_endpoint.unplug, sandbox.pid, endpoint, endpoints)
        self._release(endpoint)
        self.save(sandbox)

    async def _publish_elsewhere(self, sandbox: Sandbox, before: SandboxRecord) -> None:
        """The published ports lead to the new default route's endpoint, or are given up."""
        target = sandbox.record.gateway
        sandbox.record = replace(
            sandbox.record,
            ports=before.ports if target is not None else (),
            publisher=target.endpoint_id if target is not None else "",
        )
        firewall = self._kernel.firewall
        commands = firewall.remove(forwardings=forwardings_of(before))
        commands += firewall.add(forwardings=forwardings_of(sandbox.record))
        await self._kernel.commit(commands)
        if target is None:
            await self._publisher.release(sandbox)
        else:
            self._publisher.cut(sandbox)
            self._publisher.serve(sandbox)

    def rename(self, sandbox: Sandbox, name: str) -> None:
        sandbox.record = sandbox.record.named(name)
        self._names.update(sandbox)
        self.save(sandbox)

    async def close(self) -> None:
        """Leave containers to the kernel and the sidecars."""
        self._is_closing = True
        await self._publisher.close()
        await self._names.close()
        if self._deleting is not None:
            await self._deleting
        await self._delete_lost_pairs()

    # --- parts of the above ------------------------------------------------------------------

    def _addressed(self, endpoint: Endpoint, record: SandboxRecord, network: Network) -> Endpoint:
        spec = endpoint.spec
        kernel_endpoint.check_link_local(spec.link_local_ips)
        mac = kernel_endpoint.check_mac(spec.mac_address) if spec.mac_address else ""
        if mac and network.driver == "ipvlan":
            raise InvalidArgument("ipvlan interfaces do not support custom mac address assignment")
        interface, is_routed = _interface_name(spec, network, record), is_at_layer_3(network)
        ipv4, ipv6 = self._store.allocate(network, spec, record.slot)
        pools = {(6 if ":" in pool.subnet else 4): pool for pool in reversed(network.spec.pools)}
        lengths = {version: int(pool.subnet.rpartition("/")[2]) for version, pool in pools.items()}
        gateways = {version: pool.gateway for version, pool in pools.items()}
        if network.spec.internal or is_routed or not has_way_out(network):
            gateways = {}
        return replace(
            endpoint,
            interface=interface,
            mac_address="" if network.driver == "ipvlan" else mac or kernel_endpoint.mac_of(ipv4),
            ipv4_address=ipv4,
            ipv4_prefix_length=lengths[4],
            gateway=gateways.get(4, ""),
            ipv6_address=ipv6,
            ipv6_prefix_length=lengths.get(6, 0),
            ipv6_gateway=gateways.get(6, ""),
            driver=network.driver,
            is_routed=is_routed,
        )

    def _default_host_ip(self, target: Endpoint) -> str:
        return bridge.host_ip_of(self._store.get(target.network_id).spec)

    def _release(self, endpoint: Endpoint) -> None:
        self._store.release(endpoint.network_id, endpoint.ipv4_address, endpoint.ipv6_address)

    def _rest(self, endpoint: Endpoint, record: SandboxRecord) -> None:
        if endpoint.interface:
            addresses = (endpoint.ipv4_address, endpoint.ipv6_address)
            slot = record.slot or record.container_name
            self._store.rest(endpoint.network_id, slot, *addresses)

    def _lose_pairs(self, names: Iterable[str]) -> None:
        """Look a little later whether the kernel has freed these: it does so with the namespace.

        A namespace that outlives its container (another has joined it) keeps them otherwise. To
        delete them at once would cost 20 ms each; the kernel frees many in one go.
        """
        self._lost_pairs |= set(names)
        if self._lost_pairs and self._lost_pairs_timer is None and not self._is_closing:
            loop = asyncio.get_running_loop()
            self._lost_pairs_timer = loop.call_later(_LOST_PAIRS_S, self._start_deleting_pairs)

    def _start_deleting_pairs(self) -> None:
        self._deleting = asyncio.get_running_loop().create_task(self._delete_lost_pairs())

    async def _delete_lost_pairs(self) -> None:
        if self._lost_pairs_timer is not None:
            self._lost_pairs_timer.cancel()
            self._lost_pairs_timer = None
        names, self._lost_pairs = self._lost_pairs, set()
        if not names:
            return
        try:
            await self._kernel.call(bridge.remove, names)
        except StackrError as error:
            _log.warning("networks: %s", error)


def _interface_name(spec: EndpointSpec, network: Network, record: SandboxRecord) -> str:
    taken = {endpoint.interface for endpoint in record.endpoints}
    if spec.interface_name:
        kernel_endpoint.check_interface_name(spec.interface_name, taken)
        return spec.interface_name
    prefix = bridge.interface_prefix_of(network.spec)
    return next(name for i in range(len(taken) + 1) if (name := f"{prefix}{i}") not in taken)


def _forget_flows_from(_: Host, address: str) -> None:
    conntrack.forget_udp_flows_from(address)


def _count_flows(_: Host, address: str) -> tuple[int, int]:
    try:
        return conntrack.count_translated_flows(address)
    except OSError as error:
        raise Internal(f"connections cannot be counted: {error.strerror or error}") from error
