"""A container's files, for copies in and out: which view of them a copy gets, and its rules.

Of a container that runs, its own mounts are seen; of any other, its root file system with what its
next start would mount, and its lock is held meanwhile, as the same overlay must not be mounted
twice. Source: Docker Engine API, "ContainerArchive", "PutContainerArchive", "ContainerExport".
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from stackr.errors import Conflict, DeadlineExceeded, NotFound
from stackr.runtime.engine.archive.copies import Bind, Copies, Extraction, PathStat, View
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.linux.launcher_client import Launched, Launcher, OverlayTarget
from stackr.runtime.engine.linux.process import Process
from stackr.runtime.engine.roots import make_folder
from stackr.runtime.engine.snapshot.overlay import Overlay

__all__ = ["ContainerFiles"]

_STALL_S: Final = 120.0
"""How long a client may keep a stopped container's lock without a byte going by."""
_ETC_FILES: Final = ("hosts", "hostname", "resolv.conf")


class _Held:
    """A view in use; the container's next start, or its removal, ends what was `started` in it."""

    def __init__(self, view: View, live: Live) -> None:
        self.view = view
        self.progress: Callable[[], None] = lambda: None
        self._live = live
        self._copies: list[Launched] = []

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.copies = [copy for copy in self._live.copies if copy not in self._copies]

    def started(self, copy: Launched) -> None:
        self._copies.append(copy)
        self._live.copies.append(copy)

    async def watched(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks; each one that goes by gives the copy more time."""
        async for chunk in chunks:
            self.progress()
            yield chunk
            self.progress()


class ContainerFiles:
    """Copies files of containers; every method runs on the event loop."""

    def __init__(
        self, config: EngineConfig, launcher: Launcher, storage: Storage, snapshots: Overlay
    ) -> None:
        self._mount_point = config.exec_root / "view"
        self._copies = Copies(launcher)
        self._storage = storage
        self._snapshots = snapshots

    async def stat(self, live: Live, path: str, *, where: str) -> PathStat:
        """where: the container as the caller calls it. Raises NotFound with Docker's text."""
        async with self._hold(live) as held:
            return await self._copies.stat(held.view, path, where=where)

    @asynccontextmanager
    async def pack(
        self, live: Live, path: str, *, where: str
    ) -> AsyncIterator[tuple[PathStat, AsyncGenerator[bytes, None]]]:
        """What is at a path, and a tar archive of it. Raises NotFound with Docker's text."""
        async with (
            self._hold(live) as held,
            self._copies.pack(held.view, path, where=where, started=held.started) as packed,
        ):
            stat, chunks = packed
            yield stat, held.watched(chunks)

    async def extract(
        self,
        live: Live,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        where: str,
        as_user: bool,
        keep_kinds: bool,
    ) -> None:
        """Write an archive into a folder; as_user: all of it belongs to the container's user.

        Raises NotFound with Docker's text, InvalidArgument for a damaged archive or what is
        mounted read-only; what was written until then stays.
        """
        container = live.container
        user = self._storage.user(container) if as_user and container.config.user else None
        how = Extraction(
            owner=(user.uid, user.gid) if user else None,
            keep_kinds=keep_kinds,
            read_only=container.host_config.readonly_rootfs,
            mounts=_mount_table(container),
        )
        async with self._hold(live) as held:
            chunks = held.watched(archive)
            await self._copies.extract(
                held.view, path, chunks, how, where=where, started=held.started
            )

    @asynccontextmanager
    async def export(self, live: Live) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """A tar archive of the root file system, without what is mounted in it."""
        container = live.container
        if container.state.status is Status.REMOVING:
            raise Conflict(f"You cannot export container {container.id} which is being removed")
        async with (
            self._hold(live, bare=True) as held,
            self._copies.pack(
                held.view, "/", where=container.id, started=held.started, content=True
            ) as packed,
        ):
            yield held.watched(packed[1])

    @asynccontextmanager
    async def _hold(self, live: Live, *, bare: bool = False) -> AsyncIterator[_Held]:
        """The view of a container, which lasts as long as the block. bare: without mounts."""
        async with live.lock:
            container = live.container
            if container.state.status is Status.REMOVING:
                raise NotFound(f"No such container: {container.id}")
            namespace = _namespace(container, of_monitor=bare)
            if namespace is None:
                with _Held(self._stopped(container, bare=bare), live) as held:
                    async with _stall_limit(held):
                        yield held
                return
        root = str(self._storage.rootfs(container)) if bare else ""
        try:
            with _Held(View(namespace=namespace, root=root), live) as held:
                yield held
        finally:
            os.close(namespace)

    def _stopped(self, container: Container, *, bare: bool) -> View:
        overlay = self._snapshots.rootfs(container.id)
        make_folder(self._mount_point, 0o700)
        root = str(self._mount_point)
        return View(
            overlay=OverlayTarget(overlay.base_dir, overlay.data, root),
            root=root,
            binds=() if bare else tuple(self._binds(container)),
            read_only=container.host_config.readonly_rootfs,
        )

    def _binds(self, container: Container) -> Iterator[Bind]:
        taken = {mount.destination for mount in container.mounts}
        for mount in container.mounts:
            if mount.type not in ("tmpfs", "image") and not mount.device:
                source, read_only = self._storage.source(mount), not mount.rw
                yield Bind(source, mount.destination, mount.subpath, read_only, mount.recursive)
        for name in _ETC_FILES:
            file = self._storage.folder(container) / name
            if f"/etc/{name}" not in taken and file.exists():
                read_only = container.host_config.readonly_rootfs
                yield Bind(str(file), f"/etc/{name}", read_only=read_only)


def _namespace(container: Container, *, of_monitor: bool) -> int | None:
    """A descriptor of a running container's mount namespace, or of its monitor's."""
    running = container.running
    if running is None or not container.state.status.is_up:
        return None
    pid, started = running.pid, running.pid_start
    if of_monitor:
        pid, started = running.monitor_pid, running.monitor_start
    process = Process.find(pid, started)
    if process is None:
        return None
    with process:
        try:
            fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None  # it has ended
        if process.kill(0):
            return fd
    os.close(fd)
    return None


def _mount_table(container: Container) -> tuple[tuple[str, bool], ...]:
    """A tmpfs is there only while the container runs."""
    is_up = container.state.status.is_up
    return tuple(
        (mount.destination, mount.rw)
        for mount in container.mounts
        if is_up or not (mount.device or mount.type == "tmpfs")
    )


@asynccontextmanager
async def _stall_limit(held: _Held) -> AsyncIterator[None]:
    """Ends the block after a time without a byte."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_STALL_S) as limit:
            held.progress = lambda: limit.reschedule(loop.time() + _STALL_S)
            yield
    except TimeoutError as error:
        why = f"the client kept the container's files for {_STALL_S:g} s without a byte"
        raise DeadlineExceeded(f"copy: given up: {why}") from error
