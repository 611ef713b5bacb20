"""The engine's containers, as the API uses them; what happens inside is `life`'s.

Every method runs on the event loop. References are names, IDs, or unique starts of IDs.
"""

from __future__ import annotations

import asyncio
import builtins
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from stackr.errors import InvalidArgument, NotSupported, StackrError
from stackr.runtime.engine.archive.copies import PathStat
from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.exec.calls import Execs
from stackr.runtime.engine.container.io.json_reader import JsonLogReader
from stackr.runtime.engine.container.io.log_options import JSON_FILE, driver
from stackr.runtime.engine.container.io.log_reader import LogReader
from stackr.runtime.engine.container.io.logs import LogQuery
from stackr.runtime.engine.container.io.stream import AttachStream, ConsoleStream, PendingStream
from stackr.runtime.engine.container.io.top import process_table
from stackr.runtime.engine.container.life.adoption import Adoption
from stackr.runtime.engine.container.life.checks import limit_warnings
from stackr.runtime.engine.container.life.commit import FrozenContainer, frozen
from stackr.runtime.engine.container.life.creation import Creation
from stackr.runtime.engine.container.life.lifecycle import Lifecycle
from stackr.runtime.engine.container.life.log_keeping import log_attributes, log_of
from stackr.runtime.engine.container.life.membership import Membership
from stackr.runtime.engine.container.life.networking import stated_addresses
from stackr.runtime.engine.container.life.promotion import Promotion, is_in_standby
from stackr.runtime.engine.container.life.removal import Removal
from stackr.runtime.engine.container.life.sharing import is_severed, network_owner
from stackr.runtime.engine.container.life.stopping import Stopping
from stackr.runtime.engine.container.life.watch import Watch
from stackr.runtime.engine.container.limits.stats import Usage, read_usage
from stackr.runtime.engine.container.oci.monitor import connect_attach
from stackr.runtime.engine.container.oci.runtime import RuntimeFacts
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.linking import Links
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status, Verb, check
from stackr.runtime.engine.container.records.store import check_name
from stackr.runtime.engine.container.settings.spec import (
    ContainerCreate,
    ContainerUpdate,
    EndpointSettings,
)
from stackr.runtime.engine.container.storage.files import ContainerFiles
from stackr.runtime.engine.network.types import Connections
from stackr.runtime.engine.snapshot.differences import Kind, differences

__all__ = ["Containers"]


class Containers:
    """Made by `wiring.py`; `open` comes after that of images, networks and volumes."""

    def __init__(
        self,
        parts: Parts,
        *,
        lifecycle: Lifecycle,
        stopping: Stopping,
        removal: Removal,
        adoption: Adoption,
        watch: Watch,
        execs: Execs,
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._storage = parts.storage
        self._networks = parts.networks
        self._lifecycle = lifecycle
        self._stopping = stopping
        self._removal = removal
        self._adoption = adoption
        self._watch = watch
        self._links = Links(parts.store, parts.networks)
        self._membership = Membership(parts)
        self._files = ContainerFiles(parts.config, parts.launcher, parts.storage, parts.snapshots)
        self.execs = execs

    async def open(self) -> None:
        """Take over what runs, and finish or undo what was cut off."""
        self._store.open()
        self._networks.heed(lambda network: stated_addresses(self._store, network))
        self._parts.groups.open()
        await self._adoption.run()

    async def shut_down(self, timeout_s: int) -> None:
        """Stop all that run, and kill what has not ended in time; -1 waits for ever.

        Nobody has stopped them by hand, so that restart policies bring them up with the daemon.
        """
        running = [live for live in self._parts.lives.values() if live.container.state.status.is_up]
        stops = [asyncio.ensure_future(self._stopping.stop(live)) for live in running]
        if stops:
            await asyncio.wait(stops, timeout=None if timeout_s < 0 else timeout_s)
        late = [live for live, stop in zip(running, stops, strict=True) if not stop.done()]
        await asyncio.gather(*map(self._stopping.kill, late), return_exceptions=True)
        await asyncio.gather(*stops, return_exceptions=True)
        for live in running:
            live.container.manually_stopped = False
            self._store.put(live.container)

    async def close(self) -> None:
        """Containers go on running; a later engine takes them over."""
        parts = self._parts
        await parts.tasks.cancel()
        self._watch.close()
        for live in parts.lives.values():
            if live.monitor is not None:
                live.monitor.close()
        parts.watches.close()
        await parts.launcher.close()
        if not any(container.state.status.is_up for container in self._store):
            parts.host.cgroups.remove(parts.config.cgroup_parent)

    def _announce(self, container: Container, action: str, **extra: str) -> None:
        announce(self._parts.events, container, action, extra)

    async def oci_runtime(self) -> RuntimeFacts:
        """Which program runs the containers."""
        return await self._parts.runtime.facts()

    async def usage(self, ref: str) -> int:
        """The bytes that a container has written to its root file system."""
        return await self._parts.snapshots.usage(self.get(ref).id)

    async def changes(self, ref: str) -> builtins.list[tuple[str, Kind]]:
        """What a container has changed of its image's files, by path."""
        id, snapshots = self.get(ref).id, self._parts.snapshots
        upper, base = snapshots.upper_directory(id), snapshots.base_view(id)
        return await asyncio.to_thread(differences, upper, base)

    @property
    def online_cpus(self) -> int:
        return os.cpu_count() or 1

    def stats(self, ref: str) -> Usage | None:
        """What a container uses now; None where it does not run."""
        container = self.get(ref)
        if not container.pid:
            return None
        group = self._parts.groups.path(container)
        return read_usage(self._parts.host.cgroups, group, container.pid)

    def log_path(self, ref: str) -> Path | None:
        """Where a container's log is, or would be, in json-file's form; None for other drivers."""
        container = self.get(ref)
        is_json = driver(container.host_config.log_config) == JSON_FILE
        return self._storage.json_log(container) if is_json else None

    @property
    def runtime_name(self) -> str:
        return self._parts.runtime.name

    def link_paths(self, container: Container) -> builtins.list[str]:
        """ "/db:/web/database", of each container that it knows."""
        return self._links.paths(container)

    def link_names(self) -> Mapping[str, builtins.list[str]]:
        """ "/web/database", of each container that knows another, by that one's ID."""
        return self._links.names()

    def remove_link(self, path: str) -> None:
        """Raises NotFound, Conflict."""
        self._links.remove(path)

    def graph_data(self, ref: str) -> dict[str, str] | None:
        """The folders of a container's root file system; None where a layer of it is lost."""
        container, snapshots = self.get(ref), self._parts.snapshots
        try:
            overlay = snapshots.rootfs(container.id)
        except StackrError:
            return None
        base = Path(overlay.base_dir)
        return {
            "LowerDir": ":".join(str(base / lower) for lower in overlay.lowerdirs),
            "MergedDir": str(self._storage.bundle(container) / "rootfs"),
            "UpperDir": str(base / overlay.upperdir),
            "WorkDir": str(base / overlay.workdir),
        }

    def files_owner(self, container: Container) -> Container:
        """Whose hosts, hostname and resolv.conf it has: its own, or of whom the network is."""
        return network_owner(container, self._store)

    def get(self, ref: str) -> Container:
        """Raises NotFound (`No such container: x`), InvalidArgument for an ambiguous ID."""
        return self._store.existing(ref)

    def list(self) -> list[Container]:
        """Every container, the newest first."""
        found = [c for c in self._store if c.state.status is not Status.CREATING]
        return sorted(found, key=lambda container: container.created_ns, reverse=True)

    def _live(self, ref: str) -> Live:
        return self._parts.lives[self.get(ref).id]

    async def _settled(self, ref: str) -> Container:
        live = self._live(ref)
        await live.settled()
        return live.container

    async def create(
        self, name: str | None, body: ContainerCreate, platform: str | None = None
    ) -> tuple[str, builtins.list[str]]:
        """Make a container; returns its ID and warnings.

        Raises NotFound for the image, Conflict for the name, InvalidArgument and NotSupported for
        settings. Nothing is left of a create that fails.
        """
        return await Creation(self._parts).run(name, body, platform)

    async def start(self, ref: str) -> None:
        """Raises NotModified where it runs; InvalidArgument where its program cannot be run."""
        live = self._live(ref)
        self.execs.forget(live.container.id)
        await self._lifecycle.start(live)

    async def stop(
        self, ref: str, *, timeout_s: int | None = None, signal: str | None = None
    ) -> None:
        """timeout_s: None for the container's own, -1 for ever. Raises NotModified."""
        await self._stopping.stop(self._live(ref), timeout_s=timeout_s, signal_name=signal or "")

    async def restart(
        self, ref: str, *, timeout_s: int | None = None, signal: str | None = None
    ) -> None:
        await self._lifecycle.restart(
            self._live(ref), timeout_s=timeout_s, signal_name=signal or ""
        )

    async def kill(self, ref: str, signal: str | None = None) -> None:
        """Raises Conflict where it does not run, InvalidArgument for an unknown signal."""
        await self._stopping.kill(self._live(ref), signal or "")

    async def pause(self, ref: str) -> None:
        await self._stopping.pause(self._live(ref))

    async def unpause(self, ref: str) -> None:
        await self._stopping.unpause(self._live(ref))

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """volumes: the anonymous ones go too. Raises Conflict where it runs, without `force`."""
        container = self._store.get(ref)
        await self._removal.run(self._parts.lives[container.id], force=force, volumes=volumes)
        self.execs.forget(container.id)

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
                future = live.exited.future()
                live.stopped.join(future)  # the end of waiting for a restart is one, too
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
            self._announce(live.container, "rename", oldName=f"/{old}")

    async def promote(self, ref: str, *, replaces: str = "") -> None:
        """Give a container in standby its ports and names, in the place of another, if named.

        See `Promotion`. Raises NotFound, InvalidArgument, Conflict.
        """
        promotion = Promotion(self._parts)
        live, other = self._live(ref), self._live(replaces) if replaces else None
        promoted = await promotion.run(live, other)
        if promoted:
            old = {"replaces": other.container.id} if other else {}
            self._announce(live.container, "promote", **old)

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
        await self._lifecycle.update(live, body, replace=replace)
        return limit_warnings(live.container.host_config, self._parts.host)

    async def resize(self, ref: str, *, height: int, width: int) -> None:
        """Raises Conflict where it does not run."""
        container = await self._settled(ref)
        check(container.state.status, Verb.RESIZE, id=container.id, name=container.name)
        self._parts.monitor.resize(self._storage.bundle(container), height, width)
        self._announce(container, "resize", height=str(height), width=str(width))

    def logs(self, ref: str, query: LogQuery) -> LogReader | JsonLogReader:
        """Raises NotFound; NotSupported for a container without a log; Unavailable."""
        live = self._live(ref)
        if live.container.host_config.log_config.type == "none":
            raise NotSupported("configured logging driver does not support reading")
        status = live.container.state.status
        is_followed = query.follow and (status.is_up or status is Status.RESTARTING)
        writer = log_of(live, self._parts)
        if writer is not None and not writer.keeps:
            raise NotSupported("configured logging driver does not support reading")
        ended = live.stopped.future() if is_followed else None
        if writer is not None:
            return JsonLogReader(writer, query, self._parts.turns, ended, runs=status.is_up)
        return LogReader.open(
            self._storage.log_file(live.container),
            query,
            watches=self._parts.watches,
            turns=self._parts.turns,
            ended=ended,
        )

    def log_attributes(self, ref: str) -> dict[str, str]:
        """What the options of its log mark each entry with."""
        return log_attributes(self.get(ref))

    async def attach(self, ref: str) -> AttachStream:
        """The input and output of a container, from its next start on where it does not run.

        Raises Conflict, Unavailable.
        """
        live = self._live(ref)
        await live.settled()
        container = live.container
        check(container.state.status, Verb.ATTACH, id=container.id, name=container.name)
        stream: AttachStream
        if container.state.status is Status.RUNNING:
            stream = ConsoleStream(await connect_attach(self._storage.bundle(container)))
        else:
            stream = PendingStream()
            live.pending = [other for other in live.pending if other.is_wanted] + [stream]
        self._announce(container, "attach")
        return stream

    def detached(self, ref: str) -> None:
        """Tell that one who was attached has left by the keys for it."""
        self._announce(self.get(ref), "detach")

    async def top(
        self, ref: str, arguments: str = ""
    ) -> tuple[builtins.list[str], builtins.list[builtins.list[str]]]:
        """Titles and rows of the container's processes, as ps(1) shows them."""
        container = await self._settled(ref)
        check(container.state.status, Verb.TOP, id=container.id, name=container.name)
        pids = self._parts.host.cgroups.pids(self._parts.groups.path(container))
        table = await process_table(pids, arguments)
        self._announce(container, "top")
        return table

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
            self._announce(live.container, "archive-path")
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
        self._announce(live.container, "extract-to-dir")

    @asynccontextmanager
    async def export(self, ref: str) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A tar archive of a container's root file system, without its volumes."""
        live = self._live(ref)
        async with self._files.export(live) as chunks:
            self._announce(live.container, "export")
            yield chunks

    @asynccontextmanager
    async def frozen(self, ref: str, *, pause: bool) -> AsyncIterator[FrozenContainer]:
        """A container that an image is made of within the block; see `commit.frozen`."""
        live = self._live(ref)
        async with frozen(live, self._parts, self._stopping, pause=pause) as found:
            yield found

    def committed(self, container: Container, comment: str, image_id: str, name: str) -> None:
        """Tell that an image has been made of a container."""
        self._announce(container, "commit", comment=comment, imageID=image_id, imageRef=name)

    async def connect(self, ref: str, network: str, settings: EndpointSettings) -> None:
        """Join a network, now where the container runs, else at its next start."""
        await self._membership.connect(self._live(ref), network, settings)

    async def disconnect(self, ref: str, network: str, *, force: bool = False) -> None:
        """Leave a network. Raises NotFound where the container is not on it."""
        await self._membership.disconnect(self._live(ref), network, force=force)
