"""The engine's containers, as the API uses them; what happens inside is `life`'s.

Every method runs on the event loop. References are names, IDs, or unique starts of IDs.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stackr.errors import Conflict, InvalidArgument, NotSupported, Unavailable
from stackr.runtime.engine.archive.copies import PathStat
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container import host as host_facts
from stackr.runtime.engine.container.exec.executor import ExecSession, ExecSessions, Executor
from stackr.runtime.engine.container.health.prober import Probes
from stackr.runtime.engine.container.io.log_reader import LogReader
from stackr.runtime.engine.container.io.logs import LogQuery
from stackr.runtime.engine.container.io.stream import (
    AttachStream,
    ConsoleStream,
    PendingStream,
    PipeStream,
)
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.container.life.adoption import Adoption
from stackr.runtime.engine.container.life.bring_up import BringUp
from stackr.runtime.engine.container.life.checks import limit_warnings
from stackr.runtime.engine.container.life.commit import FrozenContainer, frozen
from stackr.runtime.engine.container.life.creation import Creation
from stackr.runtime.engine.container.life.lifecycle import Lifecycle
from stackr.runtime.engine.container.life.limiter import Limiter
from stackr.runtime.engine.container.life.membership import Membership
from stackr.runtime.engine.container.life.networking import stated_addresses
from stackr.runtime.engine.container.life.promotion import Promotion, is_in_standby
from stackr.runtime.engine.container.life.sharing import is_severed
from stackr.runtime.engine.container.life.teardown import Teardown
from stackr.runtime.engine.container.limits.groups import Groups
from stackr.runtime.engine.container.limits.stats import Usage, read_usage
from stackr.runtime.engine.container.needs import ImageSource, NetworkAccess, VolumeAccess
from stackr.runtime.engine.container.oci.monitor import Monitor, connect_attach, find_conmon
from stackr.runtime.engine.container.oci.runtime import OciRuntime, RuntimeFacts, choose_runtime
from stackr.runtime.engine.container.records.live import Live, Tasks
from stackr.runtime.engine.container.records.lost import BundleRecords
from stackr.runtime.engine.container.records.record import (
    Container,
)
from stackr.runtime.engine.container.records.state import Status, Verb, check
from stackr.runtime.engine.container.records.store import Store, check_name
from stackr.runtime.engine.container.settings.spec import (
    ContainerCreate,
    ContainerUpdate,
    EndpointSettings,
    ExecCreate,
)
from stackr.runtime.engine.container.storage.files import ContainerFiles
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.delegation import delegate
from stackr.runtime.engine.linux.descriptors import Descriptors
from stackr.runtime.engine.linux.inotify import FileWatches
from stackr.runtime.engine.linux.launcher_client import Launcher
from stackr.runtime.engine.network.types import Connections
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State as Records

__all__ = ["Containers"]

_log = logging.getLogger(__name__)


class Containers:
    """Call `open` after images, networks and volumes are open, and `close` before them."""

    def __init__(
        self,
        config: EngineConfig,
        state: Records,
        events: EventBus,
        images: ImageSource,
        snapshots: Overlay,
        networks: NetworkAccess,
        volumes: VolumeAccess,
    ) -> None:
        self._config = config
        self._events = events
        self._images = images
        self._snapshots = snapshots
        self._networks = networks
        self._state = state
        self._store = Store(state, BundleRecords(config, state))
        self._storage = Storage(config, images, snapshots, volumes)
        self._membership = Membership(self._store, networks)
        self._tasks = Tasks()
        self._sessions = ExecSessions()
        self._launcher = Launcher()
        self._watches = FileWatches()
        self._reading = Turns()
        self._descriptors = Descriptors()
        self._lifecycle: Lifecycle | None = None
        self._executor: Executor | None = None
        self._probes: Probes | None = None
        self._files = ContainerFiles(config, self._launcher, self._storage, snapshots)
        self._host = host_facts.detect()
        self._groups = Groups(config, self._host.cgroups, state)

    async def open(self) -> None:
        """Start the launcher, choose the OCI runtime, and take over what runs.

        Raises Unavailable where conmon or the OCI runtime is missing, or control groups are.
        """
        config = self._config
        for folder in (config.containers_root, config.bundles_root):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        delegate(self._host.cgroups)
        self._launcher.hide = self._host.cgroups.hide_from_crun
        runtime = await choose_runtime(
            self._launcher,
            root=config.exec_root,
            host=self._host,
            folder=config.bundles_root,
            cgroup=f"{config.cgroup_parent}/probe",
        )
        self._executor = Executor(
            self._host, self._storage, self._groups, runtime, self._descriptors
        )
        self._probes = Probes(self._executor, self._storage)
        self._lifecycle = self._new_lifecycle(runtime, self._probes)
        self._store.open()
        self._networks.heed(lambda: stated_addresses(self._store))
        self._groups.open()
        adoption = Adoption(
            config,
            self._host,
            store=self._store,
            storage=self._storage,
            networks=self._networks,
            lifecycle=self._lifecycle,
            tasks=self._tasks,
            note=self._state.note,
        )
        await adoption.run()

    def _new_lifecycle(self, runtime: OciRuntime, probes: Probes) -> Lifecycle:
        host, store, storage, groups = self._host, self._store, self._storage, self._groups
        monitor = Monitor(find_conmon(), self._launcher, runtime)
        limiter = Limiter(host, groups, store=store, storage=storage, runtime=runtime)
        teardown = Teardown(
            host,
            storage=storage,
            groups=groups,
            networks=self._networks,
            runtime=runtime,
            monitor=monitor,
            limiter=limiter,
        )
        bring_up = BringUp(
            host,
            store=store,
            storage=storage,
            groups=groups,
            snapshots=self._snapshots,
            networks=self._networks,
            runtime=runtime,
            monitor=monitor,
            limiter=limiter,
            teardown=teardown,
            descriptors=self._descriptors,
        )
        return Lifecycle(
            host,
            store=store,
            storage=storage,
            groups=groups,
            events=self._events,
            runtime=runtime,
            monitor=monitor,
            watches=self._watches,
            limiter=limiter,
            bring_up=bring_up,
            teardown=teardown,
            probes=probes,
            tasks=self._tasks,
        )

    async def close(self) -> None:
        """Containers go on running; a later `open` takes them over."""
        await self._tasks.cancel()
        if self._probes is not None:
            self._probes.close()
        for live in self._lives.lives.values() if self._lifecycle else ():
            if live.monitor is not None:
                live.monitor.close()
        self._watches.close()
        await self._launcher.close()
        if not any(container.state.status.is_up for container in self._store):
            self._host.cgroups.remove(self._config.cgroup_parent)

    @property
    def _lives(self) -> Lifecycle:
        if self._lifecycle is None:
            raise Unavailable("engine: the containers are not open yet")
        return self._lifecycle

    async def oci_runtime(self) -> RuntimeFacts:
        """Which program runs the containers."""
        return await self._lives.runtime.facts()

    async def usage(self, ref: str) -> int:
        """The bytes that a container has written to its root file system."""
        return await self._snapshots.usage(self.get(ref).id)

    @property
    def online_cpus(self) -> int:
        return os.cpu_count() or 1

    def stats(self, ref: str) -> Usage | None:
        """What a container uses now; None where it does not run."""
        container = self.get(ref)
        if not container.pid:
            return None
        group = self._groups.path(container)
        return read_usage(self._host.cgroups, group, container.pid)

    def log_path(self, ref: str) -> Path:
        """Where a container's log is, or would be."""
        return self._storage.log_file(self.get(ref))

    def get(self, ref: str) -> Container:
        """Raises NotFound (`No such container: x`), InvalidArgument for an ambiguous ID."""
        return self._store.existing(ref)

    def list(self) -> list[Container]:
        """Every container, the newest first."""
        found = [c for c in self._store if c.state.status is not Status.CREATING]
        return sorted(found, key=lambda container: container.created_ns, reverse=True)

    def _live(self, ref: str) -> Live:
        return self._lives.lives[self.get(ref).id]

    async def create(
        self, name: str | None, body: ContainerCreate, platform: str | None = None
    ) -> tuple[str, builtins.list[str]]:
        """Make a container; returns its ID and warnings.

        Raises NotFound for the image, Conflict for the name, InvalidArgument and NotSupported for
        settings. Nothing is left of a create that fails.
        """
        return await Creation(
            self._host,
            self._images,
            store=self._store,
            storage=self._storage,
            lifecycle=self._lives,
        ).run(name, body, platform)

    async def start(self, ref: str) -> None:
        """Raises NotModified where it runs; InvalidArgument where its program cannot be run."""
        live = self._live(ref)
        self._sessions.forget(live.container.id)
        await self._lives.start(live)

    async def stop(
        self, ref: str, *, timeout_s: int | None = None, signal: str | None = None
    ) -> None:
        """timeout_s: None for the container's own, -1 for ever. Raises NotModified."""
        await self._lives.stop(self._live(ref), timeout_s=timeout_s, signal_name=signal or "")

    async def restart(
        self, ref: str, *, timeout_s: int | None = None, signal: str | None = None
    ) -> None:
        await self._lives.restart(self._live(ref), timeout_s=timeout_s, signal_name=signal or "")

    async def kill(self, ref: str, signal: str | None = None) -> None:
        """Raises Conflict where it does not run, InvalidArgument for an unknown signal."""
        await self._lives.kill(self._live(ref), signal or "")

    async def pause(self, ref: str) -> None:
        await self._lives.pause(self._live(ref))

    async def unpause(self, ref: str) -> None:
        await self._lives.unpause(self._live(ref))

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """volumes: the anonymous ones go too. Raises Conflict where it runs, without `force`."""
        container = self._store.get(ref)
        await self._lives.remove(self._lives.lives[container.id], force=force, volumes=volumes)
        self._sessions.forget(container.id)

    async def wait(self, ref: str, condition: str = "not-running") -> int:
        """The exit code, once `condition` holds: not-running, next-exit or removed.

        The wait begins with the call of the coroutine's first step; see `waiter` for one that must
        begin before a start.
        """
        return await self.waiter(ref, condition)

    def waiter(self, ref: str, condition: str = "not-running") -> asyncio.Future[int]:
        """A future of what `wait` returns, which sees every event after this call."""
        live = self._live(ref)
        match condition:
            case "next-exit":
                return live.exited.future()
            case "removed":
                return live.removed.future()
            case "not-running" | "":
                future = live.stopped.future()
                status = live.container.state.status
                if not status.is_up and status is not Status.RESTARTING:
                    future.set_result(live.container.state.exit_code)
                return future
            case _:
                raise InvalidArgument(f'invalid condition: "{condition}"')

    async def rename(self, ref: str, name: str) -> None:
        """Raises Conflict, with Docker's text, where the name is taken."""
        live = self._live(ref)
        new = check_name(name)
        async with live.lock:
            old = live.container.name
            if new == old:
                raise InvalidArgument("Renaming a container with the same name as its current name")
            self._store.rename(live.container, new)
            self._networks.rename(live.container.id, new)
            self._lives.publish(live.container, "rename", {"oldName": f"/{old}"})

    async def promote(self, ref: str, *, replaces: str = "") -> None:
        """Give a container in standby its ports and names, in the place of another, if named.

        See `Promotion`. Raises NotFound, InvalidArgument, Conflict.
        """
        promotion = Promotion(self._store, self._networks)
        live, other = self._live(ref), self._live(replaces) if replaces else None
        promoted = await promotion.run(live, other)
        if promoted:
            old = {"replaces": other.container.id} if other else {}
            self._lives.publish(live.container, "promote", old)

    def in_standby(self, ref: str) -> bool:
        """Whether its ports and its service's names wait, or are another's."""
        return is_in_standby(self.get(ref), self._store, self._networks)

    def severed(self, ref: str) -> bool | None:
        """Whether it is left in a namespace that the container it joined has no longer."""
        return is_severed(self.get(ref), self._store)

    async def connections(self, ref: str) -> Connections:
        """Who is served through a container's published ports. Raises Conflict where it is down."""
        container = self.get(ref)
        check(container.state.status, Verb.COUNT, id=container.id, name=container.name)
        if not container.endpoints:
            return Connections()
        return await self._networks.connections(container.id)

    async def update(
        self, ref: str, body: ContainerUpdate, *, replace: bool = False
    ) -> builtins.list[str]:
        """Change limits, restart policy and labels, of a running container too; returns warnings.

        replace: the body's limits are all that there shall be. What fails changes nothing.
        """
        live = self._live(ref)
        await self._lives.update(live, body, replace=replace)
        return limit_warnings(live.container.host_config, self._host)

    async def resize(self, ref: str, *, height: int, width: int) -> None:
        """Raises Conflict where it does not run."""
        container = self.get(ref)
        check(container.state.status, Verb.EXEC, id=container.id, name=container.name)
        self._lives.monitor.resize(self._storage.bundle(container), height, width)

    def logs(self, ref: str, query: LogQuery) -> LogReader:
        """Raises NotFound; NotSupported for a container without a log; Unavailable."""
        live = self._live(ref)
        if live.container.host_config.log_config.type == "none":
            raise NotSupported("configured logging driver does not support reading")
        status = live.container.state.status
        is_followed = query.follow and (status.is_up or status is Status.RESTARTING)
        return LogReader.open(
            self._storage.log_file(live.container),
            query,
            watches=self._watches,
            turns=self._reading,
            ended=live.stopped.future() if is_followed else None,
        )

    async def attach(self, ref: str) -> AttachStream:
        """The input and output of a container, from its next start on where it does not run.

        Raises Conflict, Unavailable.
        """
        live = self._live(ref)
        container = live.container
        check(container.state.status, Verb.ATTACH, id=container.id, name=container.name)
        stream: AttachStream
        if container.state.status is Status.RUNNING:
            stream = ConsoleStream(await connect_attach(self._storage.bundle(container)))
        else:
            stream = PendingStream()
            live.pending = [other for other in live.pending if other.is_wanted] + [stream]
        self._lives.publish(container, "attach")
        return stream

    async def top(
        self, ref: str, arguments: str = ""
    ) -> tuple[builtins.list[str], builtins.list[builtins.list[str]]]:
        """Titles and rows of the container's processes, as ps(1) shows them."""
        from stackr.runtime.engine.container.io.top import process_table

        container = self.get(ref)
        check(container.state.status, Verb.EXEC, id=container.id, name=container.name)
        pids = self._host.cgroups.pids(self._groups.path(container))
        return await process_table(pids, arguments)

    async def stat_path(self, ref: str, path: str) -> PathStat:
        """What is at a path in a container, running or not. Raises NotFound, InvalidArgument."""
        return await self._files.stat(self._live(ref), path, where=ref)

    @asynccontextmanager
    async def pack_path(
        self, ref: str, path: str
    ) -> AsyncIterator[tuple[PathStat, AsyncGenerator[bytes, None]]]:
        """What is at a path, and a tar archive of it; see `ContainerFiles.pack`."""
        live = self._live(ref)
        async with self._files.pack(live, path, where=ref) as packed:
            self._lives.publish(live.container, "archive-path")
            yield packed

    async def extract(
        self,
        ref: str,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        as_user: bool,
        keep_kinds: bool,
    ) -> None:
        """Write a tar archive into a folder of a container; see `ContainerFiles.extract`."""
        live = self._live(ref)
        await self._files.extract(
            live, path, archive, where=ref, as_user=as_user, keep_kinds=keep_kinds
        )
        self._lives.publish(live.container, "extract-to-dir")

    @asynccontextmanager
    async def export(self, ref: str) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A tar archive of a container's root file system, without its volumes."""
        live = self._live(ref)
        async with self._files.export(live) as chunks:
            self._lives.publish(live.container, "export")
            yield chunks

    @asynccontextmanager
    async def frozen(self, ref: str, *, pause: bool) -> AsyncIterator[FrozenContainer]:
        """A container that an image is made of within the block; see `commit.frozen`."""
        live = self._live(ref)
        upper = self._snapshots.upper_directory(live.container.id)

        def save() -> None:
            self._store.put(live.container)

        async with frozen(live, self._lives, upper, pause=pause, save=save) as found:
            yield found

    def committed(self, container: Container, comment: str, image_id: str, name: str) -> None:
        """Tell that an image has been made of a container."""
        extra = {"comment": comment, "imageID": image_id, "imageRef": name}
        self._lives.publish(container, "commit", extra)

    def exec_create(self, ref: str, request: ExecCreate) -> str:
        """The ID of a session to start. Raises Conflict where the container does not run."""
        container = self.get(ref)
        check(container.state.status, Verb.EXEC, id=container.id, name=container.name)
        session = self._sessions.add(container, request)
        command = " ".join(request.cmd)
        self._lives.publish(container, f"exec_create: {command}", {"execID": session.id})
        return session.id

    def exec_get(self, id: str) -> ExecSession:
        """Raises NotFound."""
        return self._sessions.get(id)

    def execs_of(self, ref: str) -> builtins.list[str]:
        """The IDs of a container's sessions."""
        return [session.id for session in self._sessions.of(self.get(ref).id)]

    async def exec_start(self, id: str, *, size: tuple[int, int] | None = None) -> PipeStream:
        """Start the session. A caller that detaches hands the stream to `drain`."""
        session = self._sessions.get(id)
        if session.started:
            raise Conflict(f"Error: Exec command {id} is already running")
        container = session.container
        check(container.state.status, Verb.EXEC, id=container.id, name=container.name)
        session.size = size
        assert self._executor is not None
        stream = await self._executor.start(session)
        command = " ".join(session.request.cmd)
        self._lives.publish(container, f"exec_start: {command}", {"execID": id})
        self._tasks.start(self._announce_exec_end(session), f"exec {id[:12]}")
        return stream

    async def _announce_exec_end(self, session: ExecSession) -> None:
        await session.ended.wait()
        extra = {"execID": session.id, "exitCode": str(session.exit_code)}
        self._lives.publish(session.container, "exec_die", extra)

    def drain(self, stream: PipeStream) -> None:
        """Read a stream to its end in the background, for a session that nobody listens to."""
        self._tasks.start(_drain(stream), "drain")

    def exec_resize(self, id: str, *, height: int, width: int) -> None:
        self._sessions.resize(id, height, width)

    async def connect(self, ref: str, network: str, settings: EndpointSettings) -> None:
        """Join a network, now where the container runs, else at its next start."""
        await self._membership.connect(self._live(ref), network, settings)

    async def disconnect(self, ref: str, network: str, *, force: bool = False) -> None:
        """Leave a network. Raises NotFound where the container is not on it."""
        await self._membership.disconnect(self._live(ref), network, force=force)


async def _drain(stream: PipeStream) -> None:
    try:
        while await stream.read() is not None:
            pass
    finally:
        await stream.close()
