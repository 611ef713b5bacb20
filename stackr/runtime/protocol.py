"""What any engine can do for stackr: small Protocols, one per kind of resource.

Names are the Engine API's calls. A reference (`ref`) is a name or an ID. Every method raises
errors of the `StackrError` tree only: `NotFound`, `Conflict`, `Unavailable` and so on. Calls that
find things as asked already (start of a running container, stop of a stopped one) succeed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from stackr.runtime.types import (
    Capabilities,
    Closing,
    ContainerState,
    ContainerStats,
    EngineEvent,
    EngineInfo,
    ImageState,
    LockHolder,
    LogEntry,
    NetworkConfig,
    NetworkFault,
    NetworkState,
    PathStat,
    PullProgress,
    VolumeConfig,
    VolumeState,
)

if TYPE_CHECKING:
    from stackr.runtime.container import (
        ContainerConfig,
        ContainerFile,
        ExecConfig,
        NetworkAttachment,
    )
    from stackr.runtime.image_build import BuildProgress, ImageBuild
    from stackr.runtime.limits import Resources, RestartPolicy

__all__ = [
    "Containers",
    "ExecSession",
    "Images",
    "Networks",
    "Runtime",
    "Streams",
    "SupportsAttach",
    "SupportsBuild",
    "SupportsExec",
    "SupportsFiles",
    "SupportsHandover",
    "SupportsLocks",
    "SupportsLogs",
    "SupportsNetworkRepair",
    "SupportsRawRequest",
    "SupportsStats",
    "Volumes",
]


class Containers(Protocol):
    async def list_containers(
        self, *, labels: Sequence[str] = (), all: bool = True, limits: bool = False
    ) -> list[ContainerState]:
        """labels: `key` or `key=value`, all of which must hold. all: stopped ones as well.

        limits: `resources` and `restart` are wanted; without `capabilities.listed_limits` that
        takes an inspection of each container.
        """
        ...

    async def inspect_container(self, ref: str) -> ContainerState: ...

    async def create_container(self, name: str, config: ContainerConfig) -> str:
        """The new container's ID. `config.files` are written into it."""
        ...

    async def start_container(self, ref: str) -> None: ...

    async def stop_container(
        self, ref: str, *, timeout_s: float | None = None, signal: str = ""
    ) -> None:
        """Returns when it has stopped. timeout_s: before SIGKILL; None is the container's own."""
        ...

    async def restart_container(self, ref: str, *, timeout_s: float | None = None) -> None: ...

    async def kill_container(self, ref: str, *, signal: str = "SIGKILL") -> None: ...

    async def pause_container(self, ref: str) -> None: ...

    async def unpause_container(self, ref: str) -> None: ...

    async def rename_container(self, ref: str, name: str) -> None: ...

    async def update_container(
        self,
        ref: str,
        *,
        resources: Resources | None = None,
        restart: RestartPolicy | None = None,
        labels: Mapping[str, str | None] | None = None,
    ) -> None:
        """Change a container, running or not; all of it or nothing.

        resources: its limits as they shall be, all of them. labels: to add or to replace; None
        removes one. Raises NotSupported, naming it, for what this engine cannot change
        (`limits.fixed_limits` says so beforehand; labels without `capabilities.update_labels`).
        """
        ...

    async def remove_container(
        self, ref: str, *, force: bool = False, volumes: bool = False
    ) -> None:
        """volumes: its anonymous volumes as well. force: kill it first."""
        ...

    async def wait_container(self, ref: str, condition: str = "not-running") -> int:
        """The exit code. condition: not-running, next-exit or removed."""
        ...

    async def put_files(self, ref: str, files: Sequence[ContainerFile]) -> None:
        """Write files into a container, running or not."""
        ...


class Networks(Protocol):
    async def list_networks(self, *, labels: Sequence[str] = ()) -> list[NetworkState]: ...

    async def inspect_network(self, ref: str) -> NetworkState: ...

    async def create_network(self, config: NetworkConfig) -> str:
        """The new network's ID."""
        ...

    async def remove_network(self, ref: str) -> None: ...

    async def connect_network(self, container: str, attachment: NetworkAttachment) -> None: ...

    async def disconnect_network(
        self, container: str, network: str, *, force: bool = False
    ) -> None: ...


class Volumes(Protocol):
    async def list_volumes(self, *, labels: Sequence[str] = ()) -> list[VolumeState]: ...

    async def inspect_volume(self, name: str) -> VolumeState: ...

    async def create_volume(self, config: VolumeConfig) -> None: ...

    async def remove_volume(self, name: str, *, force: bool = False) -> None: ...


class Images(Protocol):
    async def inspect_image(self, ref: str) -> ImageState: ...

    def pull_image(self, reference: str, *, platform: str = "") -> AsyncIterator[PullProgress]:
        """Progress until the image is here; raises where the registry or the engine fails."""
        ...

    def push_image(self, reference: str) -> AsyncIterator[PullProgress]:
        """Progress until the registry has the image under its tag; raises as `pull_image`."""
        ...

    async def resolve_image(self, reference: str) -> str:
        """The digest that the reference has in its registry now; nothing is pulled."""
        ...

    async def remove_image(self, ref: str, *, force: bool = False) -> None: ...


class Runtime(Containers, Networks, Volumes, Images, Closing, Protocol):
    """An engine that is open for calls; use it as an async context manager, or call `close`."""

    capabilities: Capabilities

    async def identity(self) -> str:
        """The engine's own ID: the same by whichever address it is reached.

        Its address, for one that has none.
        """
        ...

    async def info(self) -> EngineInfo: ...

    def events(
        self,
        *,
        labels: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> AsyncIterator[EngineEvent]:
        """Events of the containers that have these labels, from the moment of the first item.

        The first item is an event of type "" which says that the subscription stands.
        since, until: Unix seconds; events that the engine still knows of come first.
        """
        ...


@runtime_checkable
class SupportsLogs(Protocol):
    def logs(
        self,
        ref: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        until: float | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[LogEntry]:
        """Lines in order. tail: the last so many, None for all. since, until: Unix seconds.

        follow: go on until the container stops. timestamps: fill in `LogEntry.time_ns`.
        """
        ...


class Streams(Protocol):
    """The standard streams of a program in a container."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """("stdout" or "stderr", bytes) until the program ends; a terminal's are all stdout."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, *, rows: int, columns: int) -> None: ...

    async def close(self) -> None:
        """Let go of them; the program goes on."""
        ...


class ExecSession(Streams, Protocol):
    """A command that runs in a container beside its own program."""

    id: str

    async def exit_code(self) -> int:
        """Of the ended command; waits for a moment if the engine is still noting it."""
        ...


@runtime_checkable
class SupportsExec(Protocol):
    async def exec(self, ref: str, config: ExecConfig) -> ExecSession:
        """Start the command with its streams attached."""
        ...

    async def exec_detached(self, ref: str, config: ExecConfig) -> str:
        """Start the command and leave it alone; its exec ID."""
        ...


@runtime_checkable
class SupportsAttach(Protocol):
    async def attach(
        self, ref: str, *, stdin: bool = True, stdout: bool = True, stderr: bool = True
    ) -> Streams:
        """The container's own streams, from now on, or from its next start."""
        ...

    def ending(
        self, ref: str, condition: str = "next-exit"
    ) -> AbstractAsyncContextManager[Callable[[], Awaitable[int]]]:
        """Within the block, a function that waits for the exit code.

        An end counts from the moment at which the block is entered, so that a container can be
        started in it. condition: next-exit, or removed for one that removes itself.
        """
        ...


@runtime_checkable
class SupportsHandover(Protocol):
    """Start-first updates: a container runs beside the one whose place it will take.

    One that is created with the label `labels.STANDBY` starts in standby: it has its addresses, and
    is found by its name and ID, but its aliases lead elsewhere and its ports are not published. A
    runtime without `capabilities.handover` raises NotSupported.
    """

    async def promote_container(self, ref: str, *, replaces: str = "") -> None:
        """Give a running container in standby its ports and aliases, at one moment.

        replaces: the container that has them so far. None of its ports is free in between, its open
        connections stay with it, and it is in standby from then on: it can be promoted back. What
        it does not have is published as at a start. A promotion that has been made already
        succeeds. Raises Conflict for a port that somebody else has, and then nothing has changed.
        """
        ...

    async def count_connections(self, ref: str) -> int:
        """Of clients that are served through the running container's published ports.

        Also through those that another has taken over, so that it can be stopped at 0.
        """
        ...


@runtime_checkable
class SupportsLocks(Protocol):
    """The right to change a project, which one client of the engine has at a time.

    Only where `capabilities.locks`.
    """

    async def info(self) -> EngineInfo: ...

    def lock(
        self, project: str, holder: LockHolder, waiting: Callable[[LockHolder], object]
    ) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Hold it in the block, after all who asked before; a client that ends lets go.

        waiting: hears who holds it, where it is not free. Gives a function that returns, or raises
        Unavailable, when the lock is lost, as the engine has ended.
        """
        ...


@runtime_checkable
class SupportsNetworkRepair(Protocol):
    """Networks that somebody has taken apart on the host: a bridge, a pair, an address, a rule.

    A runtime without `capabilities.network_repair` raises NotSupported.
    """

    async def network_faults(self, ref: str) -> list[NetworkFault]:
        """What is not as it was made; nothing for a network that is not used yet."""
        ...

    async def repair_network(self, ref: str) -> None:
        """Make it again; running containers go on, and are connected again."""
        ...


@runtime_checkable
class SupportsFiles(Protocol):
    """Files of containers as tar archives; every method raises NotFound for a missing path."""

    async def stat_path(self, ref: str, path: str) -> PathStat: ...

    def get_archive(
        self, ref: str, path: str
    ) -> AbstractAsyncContextManager[tuple[PathStat, AsyncIterator[bytes]]]:
        """What is at a path, and an archive of it, in which it has its own name."""
        ...

    async def put_archive(
        self,
        ref: str,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        as_user: bool = False,
        replace: bool = False,
    ) -> None:
        """Unpack in a folder.

        as_user: what is written belongs to the container's user, not to the archive's owners.
        replace: a file may replace a folder, and the other way round.
        """
        ...

    def export(self, ref: str) -> AsyncIterator[bytes]:
        """An archive of the container's root file system."""
        ...

    async def commit(
        self,
        ref: str,
        *,
        repository: str = "",
        tag: str = "",
        author: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> str:
        """Make an image of a container; its ID. changes: Dockerfile instructions."""
        ...


@runtime_checkable
class SupportsStats(Protocol):
    def stats(self, ref: str, *, stream: bool = True) -> AsyncIterator[ContainerStats]:
        """What the container uses, every second or once."""
        ...


@runtime_checkable
class SupportsBuild(Protocol):
    def build_image(self, build: ImageBuild) -> AsyncIterator[BuildProgress]:
        """Build an image; the last item is `built`, with its ID.

        Raises BuildFailed where a step fails, NotSupported, by name, for what the builder cannot
        do, InvalidArgument for a context or a Dockerfile that cannot be read.
        """
        ...

    async def image_config(self, reference: str) -> tuple[str, Mapping[str, Any]]:
        """An image's ID and its configuration (Env, OnBuild...). Raises NotFound."""
        ...


@runtime_checkable
class SupportsRawRequest(Protocol):
    """Calls of the Engine API that stackr has no type for (`GET /containers/x/top`)."""

    async def request_json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = 120.0,
    ) -> object:
        """The answer's JSON. query: None leaves a key out. timeout_s: None for no limit."""
        ...

    def request_stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The answer's body as it comes. body: JSON, or a tar archive as bytes or in chunks."""
        ...

    def json_lines(self, chunks: AsyncIterator[bytes], what: str) -> AsyncIterator[Any]:
        """The JSON values, one a line, of a body. what: of the call, for what is no JSON."""
        ...
