"""What the handlers need of the engine: one Protocol per resource, and what holds them together.

The values that cross are the resources' own frozen types; the services behind them are seen only
through these Protocols, so that a handler cannot reach further than its list here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus

if TYPE_CHECKING:
    from stackr.registry.auth import RegistryAuth
    from stackr.runtime.engine.api.stream import Attached
    from stackr.runtime.engine.archive.copies import PathStat
    from stackr.runtime.engine.build.entry import Builds
    from stackr.runtime.engine.container.exec.session import ExecSession
    from stackr.runtime.engine.container.io.log_reader import LogReader
    from stackr.runtime.engine.container.io.logs import LogQuery
    from stackr.runtime.engine.container.io.stream import PipeStream
    from stackr.runtime.engine.container.life.commit import FrozenContainer
    from stackr.runtime.engine.container.limits.stats import Usage
    from stackr.runtime.engine.container.oci.runtime import RuntimeFacts
    from stackr.runtime.engine.container.records.record import Container
    from stackr.runtime.engine.container.settings.spec import (
        ContainerCreate,
        ContainerUpdate,
        EndpointSettings,
        ExecCreate,
    )
    from stackr.runtime.engine.image.commit import Commit
    from stackr.runtime.engine.image.model import HistoryEntry, Image, ImageUse, RemoteImage
    from stackr.runtime.engine.image.progress import ImageProgress
    from stackr.runtime.engine.lease.record import Lease
    from stackr.runtime.engine.lease.removal import Removed
    from stackr.runtime.engine.lease.service import LeaseSpec
    from stackr.runtime.engine.linux.process import Process
    from stackr.runtime.engine.network.types import (
        Connections,
        Endpoint,
        Fault,
        Network,
        NetworkSpec,
        SandboxInfo,
    )
    from stackr.runtime.engine.project_locks import Entry, Holder
    from stackr.runtime.engine.volume import Volume

__all__ = [
    "ContainerBackend",
    "Engine",
    "ExecBackend",
    "ImageBackend",
    "LeaseBackend",
    "LockBackend",
    "NetworkBackend",
    "VolumeBackend",
]


class VolumeBackend(Protocol):
    """`stackr.runtime.engine.volume.Volumes`."""

    def get(self, name: str) -> Volume: ...
    def users(self, name: str) -> Sequence[str]: ...
    async def create(
        self,
        name: str | None,
        driver: str,
        driver_opts: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
    ) -> Volume: ...
    async def remove(self, name: str, *, force: bool) -> None: ...
    async def prune(self, selects: Callable[[Volume], bool]) -> tuple[Sequence[str], int]: ...
    def list(self) -> list[Volume]: ...


class NetworkBackend(Protocol):
    """`stackr.runtime.engine.network.service.Networks`."""

    def get(self, name_or_id: str) -> Network: ...
    def endpoints(self, network_id: str) -> Sequence[Endpoint]: ...
    async def create(self, spec: NetworkSpec) -> Network: ...
    async def remove(self, name_or_id: str) -> None: ...
    async def faults(self, name_or_id: str) -> Sequence[Fault]: ...
    async def repair(self, name_or_id: str) -> None: ...
    def sandbox(self, container_id: str) -> SandboxInfo | None:
        """What a container that is up has; None for any other."""

    def list(self) -> list[Network]: ...


class ImageBackend(Protocol):
    """`stackr.runtime.engine.image.store.Images`."""

    def get(self, name_or_id: str) -> Image: ...
    def history(self, name_or_id: str) -> list[HistoryEntry]: ...
    async def pull(
        self,
        reference: str,
        *,
        platform: str | None,
        auth: RegistryAuth | None,
        progress: Callable[[ImageProgress], None],
    ) -> Image: ...
    async def push(
        self,
        repository: str,
        *,
        tag: str,
        auth: RegistryAuth | None,
        progress: Callable[[ImageProgress], None],
    ) -> None: ...
    async def resolve(self, reference: str, *, auth: RegistryAuth | None) -> RemoteImage: ...
    async def commit(self, commit: Commit, *, check: Callable[[], None]) -> Image: ...
    def tag(self, source: str, target: str) -> None: ...
    async def remove(
        self,
        name: str,
        *,
        force: bool,
        prune: bool,
        in_use: Callable[[str], Sequence[ImageUse]],
    ) -> list[dict[str, str]]: ...
    async def prune(
        self,
        *,
        dangling_only: bool,
        in_use: Callable[[str], Sequence[ImageUse]],
        accept: Callable[[Image], bool],
    ) -> tuple[Sequence[Mapping[str, str]], int]: ...
    def layers_size(self) -> int: ...
    def layer_sizes(self) -> Mapping[str, int]: ...
    def layer_folders(self, image: Image) -> Sequence[str]: ...
    def list(self) -> list[Image]: ...


class ContainerBackend(Protocol):
    """`stackr.runtime.engine.container.service.Containers`; `ref` is a name, an ID or its start."""

    def get(self, ref: str) -> Container: ...
    def list(self) -> list[Container]: ...
    async def oci_runtime(self) -> RuntimeFacts: ...
    async def create(
        self, name: str | None, body: ContainerCreate, platform: str | None
    ) -> tuple[str, Sequence[str]]: ...
    async def start(self, ref: str) -> None: ...
    async def stop(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None: ...
    async def restart(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None: ...
    async def kill(self, ref: str, signal: str) -> None: ...
    async def pause(self, ref: str) -> None: ...
    async def unpause(self, ref: str) -> None: ...
    def waiter(self, ref: str, condition: str) -> asyncio.Future[int]: ...
    async def remove(self, ref: str, *, force: bool, volumes: bool) -> None: ...
    async def rename(self, ref: str, name: str) -> None: ...
    async def update(self, ref: str, body: ContainerUpdate, *, replace: bool) -> Sequence[str]: ...
    async def resize(self, ref: str, *, height: int, width: int) -> None: ...
    def logs(self, ref: str, query: LogQuery) -> LogReader: ...
    async def attach(self, ref: str) -> Attached: ...
    async def promote(self, ref: str, *, replaces: str) -> None: ...
    def in_standby(self, ref: str) -> bool: ...
    def severed(self, ref: str) -> bool | None: ...
    async def connections(self, ref: str) -> Connections: ...
    async def connect(self, ref: str, network: str, settings: EndpointSettings) -> None: ...
    async def disconnect(self, ref: str, network: str, *, force: bool) -> None: ...
    async def top(
        self, ref: str, ps_args: str
    ) -> tuple[Sequence[str], Sequence[Sequence[str]]]: ...
    async def usage(self, ref: str) -> int:
        """The bytes that the container has written to its root file system."""

    @property
    def online_cpus(self) -> int: ...
    def stats(self, ref: str) -> Usage | None:
        """What it uses now; None where it does not run."""

    def log_path(self, ref: str) -> Path: ...
    async def stat_path(self, ref: str, path: str) -> PathStat: ...
    def pack_path(
        self, ref: str, path: str
    ) -> AbstractAsyncContextManager[tuple[PathStat, AsyncGenerator[bytes, None]]]: ...
    async def extract(
        self,
        ref: str,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        as_user: bool,
        keep_kinds: bool,
    ) -> None: ...
    def export(self, ref: str) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]: ...
    def frozen(self, ref: str, *, pause: bool) -> AbstractAsyncContextManager[FrozenContainer]: ...
    def committed(self, container: Container, comment: str, image_id: str, name: str) -> None: ...


class ExecBackend(Protocol):
    """`stackr.runtime.engine.container.exec.calls.Execs`; `id` is a session's."""

    def of(self, ref: str) -> Sequence[str]: ...
    def create(self, ref: str, request: ExecCreate) -> str: ...
    def get(self, id: str) -> ExecSession: ...
    async def start(self, id: str, *, size: tuple[int, int] | None) -> PipeStream: ...
    def drain(self, stream: PipeStream) -> None: ...
    def resize(self, id: str, *, height: int, width: int) -> None: ...


class LeaseBackend(Protocol):
    """`stackr.runtime.engine.lease.service.Leases`."""

    def get(self, id: str) -> Lease: ...
    def create(self, spec: LeaseSpec, owner: tuple[Process, int] | None) -> Lease: ...
    def renew(self, id: str, ttl_s: float | None) -> Lease: ...
    def disown(self, id: str) -> Lease: ...
    def release(self, id: str) -> None: ...
    async def end(self, id: str, *, stop_timeout_s: float | None) -> Removed: ...
    def list(self) -> list[Lease]: ...


class LockBackend(Protocol):
    """`stackr.runtime.engine.project_locks.ProjectLocks`."""

    def entry(self, project: str, holder: Holder) -> AbstractContextManager[Entry]: ...
    def first(self, project: str) -> Entry: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts of one running engine, as the API sees them."""

    config: EngineConfig
    id: str
    events: EventBus
    images: ImageBackend
    networks: NetworkBackend
    volumes: VolumeBackend
    containers: ContainerBackend
    builds: Builds
    execs: ExecBackend
    leases: LeaseBackend
    locks: LockBackend
    warnings: Callable[[], Sequence[str]] = tuple
    """What a user should know of: damaged records, changes that cannot be written."""
