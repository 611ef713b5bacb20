"""An engine in memory, for unit tests.

It keeps what it is told, checks what an engine would check (names, what is in use), records every
call, and can be told to fail, to take time, and how containers behave once they run.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from stackr.errors import AlreadyExists, Conflict, Internal, NotFound, NotSupported, StackrError
from stackr.runtime import labels as names
from stackr.runtime.container import ContainerConfig, ContainerFile, NetworkAttachment
from stackr.runtime.limits import Resources, RestartPolicy, fixed_limits
from stackr.runtime.types import (
    Capabilities,
    Closing,
    ContainerState,
    EndpointState,
    EngineEvent,
    EngineInfo,
    ImageState,
    MountState,
    NetworkConfig,
    NetworkFault,
    NetworkState,
    PublishedPort,
    PullProgress,
    VolumeConfig,
    VolumeState,
)

__all__ = ["Behaviour", "FakeRuntime", "image"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a service's containers do once started: run (exit_code None) or end; and their health.
    What steps of `pre_start` do has their containers' names.

    health: each is reported in turn, a new one at every inspection; the last one stays.
    """

    exit_code: int | None = None
    health: tuple[str, ...] = ()
    health_output: str = ""


@dataclass(slots=True)
class FakeRuntime(Closing):
    """images: the references that are here, or in the registry, with the ID of each.

    failures: "method name" or "method name reference" -> the error that the call raises.
    delays_s: seconds by method name. behaviours: by service. changes_left: how many changing calls
    still succeed; None for all.
    calls: "method reference", in the order in which calls began. most_in_flight: at once.
    connections: how many clients a container serves, by its name: one number a count, in order,
    the last one for good.
    """

    images: dict[str, ImageState] = field(default_factory=dict)
    registry: dict[str, ImageState] = field(default_factory=dict)
    failures: dict[str, StackrError] = field(default_factory=dict)
    delays_s: dict[str, float] = field(default_factory=dict)
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    changes_left: int | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    containers: dict[str, ContainerState] = field(default_factory=dict)
    configs: dict[str, ContainerConfig] = field(default_factory=dict)
    networks: dict[str, NetworkState] = field(default_factory=dict)
    faults: dict[str, list[NetworkFault]] = field(default_factory=dict)
    volumes: dict[str, VolumeState] = field(default_factory=dict)
    files: dict[str, list[ContainerFile]] = field(default_factory=dict)
    connections: dict[str, tuple[int, ...]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    _made: int = 0
    _inspections: Counter[str] = field(default_factory=Counter)
    _subscribers: list[tuple[tuple[str, ...], asyncio.Queue[EngineEvent]]] = field(
        default_factory=list
    )

    @classmethod
    def with_images(cls, *references: str, behaviours: Mapping[str, Behaviour] = {}) -> Self:
        """With these images here, each of an ID of its own."""
        return cls(images={ref: image(ref) for ref in references}, behaviours=behaviours)

    async def close(self) -> None:
        """Nothing is held."""

    async def _call(self, method: str, ref: str = "") -> None:
        """Record a call; take its time; fail if told to."""
        self.calls.append(f"{method} {ref}".strip())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delays_s.get(method, 0))
        finally:
            self.in_flight -= 1
        error = self.failures.get(f"{method} {ref}") or self.failures.get(method)
        if error is not None:
            raise error
        if self.changes_left is not None and not method.startswith(("list_", "inspect_")):
            if not self.changes_left:
                raise Internal(f"{method} {ref}: told to fail")
            self.changes_left -= 1

    def _id(self, name: str) -> str:
        self._made += 1
        return hashlib.sha256(f"{self._made} {name}".encode()).hexdigest()

    def _moment(self) -> int:
        """A clock that goes on with each look at it."""
        self._made += 1
        return self._made

    async def identity(self) -> str:
        return f"fake-{id(self)}"

    async def info(self) -> EngineInfo:
        return EngineInfo(name="fake", version="0", endpoint="memory")

    async def events(
        self,
        *,
        labels: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> AsyncIterator[EngineEvent]:
        queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
        subscriber = (tuple(labels), queue)
        self._subscribers.append(subscriber)
        try:
            yield EngineEvent("", "", "")
            while True:
                yield await queue.get()
        finally:
            self._subscribers.remove(subscriber)

    def emit(self, action: str, container: ContainerState) -> None:
        """Tell every subscriber of this container's labels."""
        attributes = {**container.labels, "name": container.name}
        event = EngineEvent("container", action, container.id, attributes)
        for wanted, queue in self._subscribers:
            if _matches(container.labels, wanted):
                queue.put_nowait(event)

    # --- containers ----------------------------------------------------------------------------

    async def list_containers(
        self, *, labels: Sequence[str] = (), all: bool = True, limits: bool = False
    ) -> list[ContainerState]:
        await self._call("list_containers")
        shown = limits or self.capabilities.listed_limits
        return [
            container if shown else replace(container, resources=None, restart=None)
            for container in self.containers.values()
            if _matches(container.labels, labels) and (all or container.is_running)
        ]

    async def inspect_container(self, ref: str) -> ContainerState:
        await self._call("inspect_container", ref)
        container = self._behaved(self._find(ref))
        self.containers[container.id] = container
        return container

    def _behaved(self, container: ContainerState) -> ContainerState:
        behaviour = self._behaviour(container)
        if not behaviour.health or container.state != "running":
            return container
        step = min(self._inspections[container.id], len(behaviour.health) - 1)
        self._inspections[container.id] += 1
        health = behaviour.health[step]
        if step + 1 < len(behaviour.health):
            self.emit("health_status", container)
        return replace(
            container,
            health=health,
            health_output=behaviour.health_output,
            health_exit_code=None if health == "starting" else int(health == "unhealthy"),
        )

    def _find(self, ref: str) -> ContainerState:
        for container in self.containers.values():
            if ref in (container.id, container.name) or container.id.startswith(ref):
                return container
        raise NotFound(f"No such container: {ref}")

    def _set(self, container: ContainerState, action: str) -> None:
        self.containers[container.id] = container
        self.emit(action, container)

    def _check_name(self, name: str) -> None:
        for other in self.containers.values():
            if other.name == name:
                raise AlreadyExists(
                    f'Conflict. The container name "/{name}" is already in use by container '
                    f'"{other.id}". You have to remove (or rename) that container to be able to '
                    "reuse that name."
                )

    async def create_container(self, name: str, config: ContainerConfig) -> str:
        await self._call("create_container", name)
        self._check_name(name)
        if config.image not in self.images:
            raise NotFound(f"No such image: {config.image}")
        for attachment in config.networks:
            if attachment.network not in self.networks:
                raise NotFound(f"network {attachment.network} not found")
        for reference in (config.network_mode, config.ipc_mode, config.pid_mode):
            if reference.startswith("container:"):
                self._find(reference.removeprefix("container:"))
        container_id = self._id(name)
        self.configs[container_id] = config
        self.files[container_id] = list(config.files)
        self._set(self._created(container_id, name, config), "create")
        return container_id

    def _created(self, container_id: str, name: str, config: ContainerConfig) -> ContainerState:
        anonymous = self.images[config.image].volumes
        targets = {mount.target for mount in config.mounts}
        wanted = [(m.type, m.source, m.target, m.read_only) for m in config.mounts]
        wanted += [("volume", "", target, False) for target in anonymous if target not in targets]
        mounts = []
        for kind, source, target, read_only in wanted:
            volume = (source or self._id(target)) if kind == "volume" else ""
            if volume:
                self.volumes.setdefault(volume, VolumeState(volume, "local"))
            mounts.append(MountState(kind, target, source, volume, read_only))
        return ContainerState(
            id=container_id,
            name=name,
            image=config.image,
            image_id=self.images[config.image].id,
            labels=dict(config.labels),
            networks=tuple(
                EndpointState(a.network, self.networks[a.network].id, aliases=a.aliases)
                for a in config.networks
            ),
            network_mode=config.network_mode,
            ipc_mode=config.ipc_mode,
            pid_mode=config.pid_mode,
            volumes_from=config.volumes_from,
            mounts=tuple(mounts),
            resources=config.resources,
            restart=config.restart or RestartPolicy("no"),
            standby=self.capabilities.handover and config.labels.get(names.STANDBY) == "true",
        )

    async def start_container(self, ref: str) -> None:
        await self._call("start_container", ref)
        container = self._find(ref)
        if container.is_running:
            return
        ports = () if container.standby else self._ports(container)
        self._check_ports(container, ports)
        behaviour = self._behaviour(container)
        if behaviour.exit_code is not None:
            self._set(
                replace(
                    container,
                    state="exited",
                    exit_code=behaviour.exit_code,
                    started_at=self._moment(),
                ),
                "die",
            )
            return
        health = "starting" if behaviour.health else ""
        self._set(
            replace(
                container,
                state="running",
                health=health,
                started_at=self._moment(),
                exit_code=None,
                ports=ports,
            ),
            "start",
        )

    def _behaviour(self, container: ContainerState) -> Behaviour:
        """That of its name, or its service's; a step of `pre_start` ends well by itself."""
        if names.HOOK in container.labels:
            return self.behaviours.get(container.name, Behaviour(exit_code=0))
        return self.behaviours.get(container.labels.get(names.SERVICE, ""), Behaviour())

    def _ports(self, container: ContainerState) -> tuple[PublishedPort, ...]:
        return tuple(
            PublishedPort(p.container_port, p.protocol, p.host_ip, int(p.host_port))
            for p in self.configs[container.id].ports
            if p.host_port.isdecimal()
        )

    def _check_ports(self, container: ContainerState, ports: tuple[PublishedPort, ...]) -> None:
        others = [other for other in self.containers.values() if other.id != container.id]
        for other in others:
            for port in ports:
                if other.is_running and any(p.host_port == port.host_port for p in other.ports):
                    raise Conflict(f"driver failed: port {port.host_port} is already allocated")

    async def stop_container(
        self, ref: str, *, timeout_s: float | None = None, signal: str = ""
    ) -> None:
        await self._call("stop_container", ref)
        container = self._find(ref)
        if container.is_running:
            self._set(replace(container, state="exited", exit_code=0, ports=(), health=""), "die")

    async def restart_container(self, ref: str, *, timeout_s: float | None = None) -> None:
        await self._call("restart_container", ref)
        container = self._find(ref)
        self._set(replace(container, state="running", started_at=self._moment()), "restart")

    async def kill_container(self, ref: str, *, signal: str = "SIGKILL") -> None:
        await self._call("kill_container", ref)
        container = self._find(ref)
        if not container.is_running:
            raise Conflict(f"container {container.id} is not running")
        self._set(replace(container, state="exited", exit_code=137, ports=(), health=""), "die")

    async def pause_container(self, ref: str) -> None:
        await self._call("pause_container", ref)
        self._set(replace(self._find(ref), state="paused"), "pause")

    async def unpause_container(self, ref: str) -> None:
        await self._call("unpause_container", ref)
        self._set(replace(self._find(ref), state="running"), "unpause")

    async def rename_container(self, ref: str, name: str) -> None:
        await self._call("rename_container", ref)
        self._check_name(name)
        self._set(replace(self._find(ref), name=name), "rename")

    async def update_container(
        self,
        ref: str,
        *,
        resources: Resources | None = None,
        restart: RestartPolicy | None = None,
        labels: Mapping[str, str | None] | None = None,
    ) -> None:
        await self._call("update_container", ref)
        container = self._find(ref)
        if labels is not None and not self.capabilities.update_labels:
            raise NotSupported("update of labels: not supported by this engine")
        if resources is not None:
            lifts = self.capabilities.update_lifts
            fixed = fixed_limits(container.resources or Resources(), resources, lifts=lifts)
            if fixed:
                raise NotSupported(f"update: not supported by this engine: {', '.join(fixed)}")
        merged = {**container.labels, **(labels or {})}
        changed = replace(
            container,
            resources=container.resources if resources is None else resources,
            restart=restart or container.restart,
            labels={name: value for name, value in merged.items() if value is not None},
        )
        self._set(changed, "update")

    async def remove_container(
        self, ref: str, *, force: bool = False, volumes: bool = False
    ) -> None:
        await self._call("remove_container", ref)
        container = self._find(ref)
        if container.is_running and not force:
            raise Conflict(f"cannot remove container {container.name}: container is running")
        del self.containers[container.id]
        self.emit("destroy", container)
        for mount in container.mounts if volumes else ():
            if mount.type == "volume" and not mount.source:
                self.volumes.pop(mount.name, None)

    async def wait_container(self, ref: str, condition: str = "not-running") -> int:
        await self._call("wait_container", ref)
        while self._find(ref).is_running:
            await asyncio.sleep(0)
        return self._find(ref).exit_code or 0

    async def promote_container(self, ref: str, *, replaces: str = "") -> None:
        await self._call("promote_container", ref)
        self._check_handover()
        container, old = self._find(ref), self._find(replaces) if replaces else None
        if container.state != "running":
            raise Conflict(f"Container {container.id} is not running")
        if not container.standby:
            if old.standby if old else container.labels.get(names.STANDBY) == "true":
                return
            raise Conflict(f"container {container.name} is not in standby")
        ports = self._ports(container)
        wanted = {port.host_port for port in ports}
        if old is not None:
            left = tuple(port for port in old.ports if port.host_port not in wanted)
            self.containers[old.id] = replace(old, standby=True, ports=left)
        try:
            self._check_ports(container, ports)
        except Conflict:
            if old is not None:
                self.containers[old.id] = old
            raise
        self._set(replace(container, standby=False, ports=ports), "promote")

    async def count_connections(self, ref: str) -> int:
        await self._call("count_connections", ref)
        self._check_handover()
        container = self._find(ref)
        if not container.is_running:
            raise Conflict(f"Container {container.id} is not running")
        left = self.connections.get(container.name, (0,))
        self.connections[container.name] = left[1:] or left
        return left[0]

    def _check_handover(self) -> None:
        if not self.capabilities.handover:
            raise NotSupported('engine "memory": it cannot hand over to another container')

    async def put_files(self, ref: str, files: Sequence[ContainerFile]) -> None:
        await self._call("put_files", ref)
        self.files[self._find(ref).id] += files

    # --- networks, volumes, images -------------------------------------------------------------

    async def list_networks(self, *, labels: Sequence[str] = ()) -> list[NetworkState]:
        await self._call("list_networks")
        return [network for network in self.networks.values() if _matches(network.labels, labels)]

    async def inspect_network(self, ref: str) -> NetworkState:
        await self._call("inspect_network", ref)
        for network in self.networks.values():
            if ref in (network.name, network.id):
                return network
        raise NotFound(f"network {ref} not found")

    async def create_network(self, config: NetworkConfig) -> str:
        await self._call("create_network", config.name)
        if config.name in self.networks:
            raise AlreadyExists(f"network with name {config.name} already exists")
        network = NetworkState(
            name=config.name,
            id=self._id(config.name),
            driver=config.driver or "bridge",
            internal=config.internal,
            labels=dict(config.labels),
            options=dict(config.options),
            pools=config.pools,
        )
        self.networks[config.name] = network
        return network.id

    async def remove_network(self, ref: str) -> None:
        await self._call("remove_network", ref)
        for name, network in self.networks.items():
            if ref in (name, network.id):
                if self._is_attached(name):
                    raise Conflict(f"error while removing network: {name} has active endpoints")
                del self.networks[name]
                return
        raise NotFound(f"network {ref} not found")

    async def network_faults(self, ref: str) -> list[NetworkFault]:
        await self._call("network_faults", ref)
        self._check_network_repair()
        return self.faults.get(ref, [])

    async def repair_network(self, ref: str) -> None:
        await self._call("repair_network", ref)
        self._check_network_repair()
        await self.inspect_network(ref)
        self.faults.pop(ref, None)

    def _check_network_repair(self) -> None:
        if not self.capabilities.network_repair:
            raise NotSupported("this engine does not tell what is missing of its networks")

    def _is_attached(self, network: str) -> bool:
        return any(
            container.is_running and any(e.network == network for e in container.networks)
            for container in self.containers.values()
        )

    async def connect_network(self, container: str, attachment: NetworkAttachment) -> None:
        await self._call("connect_network", container)
        network = await self.inspect_network(attachment.network)
        state = self._find(container)
        endpoint = EndpointState(network.name, network.id, aliases=attachment.aliases)
        self._set(replace(state, networks=(*state.networks, endpoint)), "connect")

    async def disconnect_network(
        self, container: str, network: str, *, force: bool = False
    ) -> None:
        await self._call("disconnect_network", container)
        state = self._find(container)
        left = tuple(endpoint for endpoint in state.networks if endpoint.network != network)
        self._set(replace(state, networks=left), "disconnect")

    async def list_volumes(self, *, labels: Sequence[str] = ()) -> list[VolumeState]:
        await self._call("list_volumes")
        return [volume for volume in self.volumes.values() if _matches(volume.labels, labels)]

    async def inspect_volume(self, name: str) -> VolumeState:
        await self._call("inspect_volume", name)
        if name not in self.volumes:
            raise NotFound(f"get {name}: no such volume")
        return self.volumes[name]

    async def create_volume(self, config: VolumeConfig) -> None:
        await self._call("create_volume", config.name)
        self.volumes.setdefault(
            config.name,
            VolumeState(
                config.name,
                config.driver or "local",
                labels=dict(config.labels),
                options=dict(config.options),
            ),
        )

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        await self._call("remove_volume", name)
        if any(m.name == name for c in self.containers.values() for m in c.mounts):
            raise Conflict(f"remove {name}: volume is in use")
        if self.volumes.pop(name, None) is None and not force:
            raise NotFound(f"get {name}: no such volume")

    async def inspect_image(self, ref: str) -> ImageState:
        await self._call("inspect_image", ref)
        for reference, state in self.images.items():
            if ref in (reference, state.id, *state.digests):
                return state
        raise NotFound(f"No such image: {ref}")

    async def pull_image(
        self, reference: str, *, platform: str = ""
    ) -> AsyncIterator[PullProgress]:
        await self._call("pull_image", reference)
        if reference not in self.registry:
            raise NotFound(f"manifest for {reference} not found: manifest unknown")
        yield PullProgress("Downloading", "layer", 1, 2)
        self.images[reference] = self.registry[reference]
        yield PullProgress("Pull complete", "layer")

    async def push_image(self, reference: str) -> AsyncIterator[PullProgress]:
        await self._call("push_image", reference)
        if reference not in self.images:
            raise NotFound(f"An image does not exist locally with the tag: {reference}")
        yield PullProgress("Pushed", "layer")
        self.registry[reference] = self.images[reference]
        yield PullProgress("", digest=self.images[reference].id)

    async def resolve_image(self, reference: str) -> str:
        await self._call("resolve_image", reference)
        if reference not in self.registry:
            raise NotFound(f"manifest for {reference} not found: manifest unknown")
        return self.registry[reference].digests[0].rpartition("@")[2]

    async def remove_image(self, ref: str, *, force: bool = False) -> None:
        await self._call("remove_image", ref)
        state = await self.inspect_image(ref)
        if any(c.image_id == state.id for c in self.containers.values()) and not force:
            raise Conflict(f"conflict: unable to remove repository reference {ref}: in use")
        self.images = {key: value for key, value in self.images.items() if value.id != state.id}


def image(reference: str, *, volumes: tuple[str, ...] = (), content: str = "") -> ImageState:
    """An image; `content` tells apart what one reference names at different times."""
    digest = hashlib.sha256(f"{reference}{content}".encode()).hexdigest()
    name = reference.partition("@")[0]
    repository = name if ":" not in name.rpartition("/")[2] else name.rpartition(":")[0]
    return ImageState(
        f"sha256:{digest}",
        tags=(reference,),
        digests=(f"{repository}@sha256:{digest[::-1]}",),
        volumes=volumes,
    )


def _matches(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Each of `wanted` is `key` or `key=value`."""
    for entry in wanted:
        key, equals, value = entry.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
