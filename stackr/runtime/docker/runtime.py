"""The runtime of any engine that speaks the Docker Engine API: dockerd, Podman, stackr's own.

Each method is one call of the API, named after it. The API's conversions are in `create.py` and
`observe.py`; the client raises errors of the `StackrError` tree, so that none are translated here.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from stackr.errors import (
    Internal,
    InvalidArgument,
    NotFound,
    NotModified,
    NotSupported,
    Unavailable,
)
from stackr.registry.credentials import registry_auth
from stackr.runtime.docker import create, distribution, files, observe, snapshot
from stackr.runtime.docker.client import CALL_TIMEOUT_S, Client, Query
from stackr.runtime.docker.frames import log_entries
from stackr.runtime.docker.shared_volumes import with_shared_volumes
from stackr.runtime.docker.streams import DockerExec, DockerStreams
from stackr.runtime.labels import SERVICE
from stackr.runtime.snapshot import Snapshot, SnapshotQuery, in_calls
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
    unfinished_name,
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

__all__ = ["DockerRuntime", "capabilities_of"]

_STOP_MARGIN_S = 60.0
_NO_CREDENTIALS = "e30="  # {}
_MULTIPLE_NETWORKS_API = (1, 44)
_IMAGE_MOUNTS_API = (1, 48)
_SUBPATH_API = (1, 45)
_PROBES = (("TCP",), ("HTTP",), ("LOG",), ("FILE",))
_INSPECTIONS_AT_ONCE = 16
_FRAMED_API = (1, 42)  # from which on a stream's type says whether it has frames
_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_BEYOND_DOCKER = (
    *("build", "handover", "leases", "listed_limits", "locks", "network_repair", "probes"),
    *("restart_unhealthy", "snapshot", "update_labels", "update_lifts"),
)
"""Capabilities that an engine tells of itself."""


def capabilities_of(version: tuple[int, int], told: Collection[str]) -> Capabilities:
    """What an engine can. version: of the API. told: capabilities beyond that, which it has."""
    return Capabilities(
        multiple_networks_on_create=version >= _MULTIPLE_NETWORKS_API,
        image_mounts=version >= _IMAGE_MOUNTS_API,
        volume_subpath=version >= _SUBPATH_API,
        start_interval=version >= _MULTIPLE_NETWORKS_API,
        documented_support=bool(told),
        **{name: True for name in _BEYOND_DOCKER if name in told},
    )


class DockerRuntime(Closing):
    """See `stackr.runtime.protocol.Runtime`; `open` asks the engine for its version."""

    def __init__(
        self, client: Client, capabilities: Capabilities, environ: Mapping[str, str]
    ) -> None:
        self.capabilities = capabilities
        self._client = client
        self._environ = environ
        self._inspections = asyncio.Semaphore(_INSPECTIONS_AT_ONCE)

    @classmethod
    async def open(cls, client: Client, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises Unavailable where no engine answers."""
        version = await client.version()
        return cls(client, capabilities_of(version, client.capabilities), environ)

    async def close(self) -> None:
        await self._client.close()

    async def identity(self) -> str:
        if self._client.engine_id:
            return self._client.engine_id
        if not self._client.has_lasting_id:
            return self._client.address.url
        system = await self._client.call("GET", "/info")
        return system.get("ID") or self._client.address.url

    def lock(
        self, project: str, holder: LockHolder, waiting: Callable[[LockHolder], object]
    ) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        from stackr.runtime.docker.lock import held

        return held(self._client, project, holder, waiting)

    async def info(self) -> EngineInfo:
        version = await self._client.call("GET", "/version")
        system = await self._client.call("GET", "/info")
        return observe.engine_info(version, system, self._client.address.url)

    async def events(
        self,
        *,
        labels: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> AsyncIterator[EngineEvent]:
        query = {
            "filters": json.dumps(create.filters(labels, type=["container"])),
            "since": _moment(since),
            "until": _moment(until),
        }
        async with self._client.stream("GET", "/events", query=query) as chunks:
            yield EngineEvent("", "", "")
            async for item in self._client.lines(chunks, "/events"):
                yield observe.engine_event(item)

    async def request_json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> object:
        return await self._client.call(
            method, path, query=query, body=body, headers=headers, timeout_s=timeout_s
        )

    def request_stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._client.stream(method, path, query=query, body=body, headers=headers)

    def json_lines(self, chunks: AsyncIterator[bytes], what: str) -> AsyncIterator[Any]:
        return self._client.lines(chunks, what)

    async def snapshot(self, query: SnapshotQuery) -> Snapshot:
        if self.capabilities.snapshot and snapshot.is_short(query):
            return await snapshot.ask(self._client, query)
        return await in_calls(self, query)

    # --- containers ----------------------------------------------------------------------------

    async def list_containers(
        self, *, labels: Sequence[str] = (), all: bool = True, limits: bool = False
    ) -> list[ContainerState]:
        query: Query = {"all": all, "filters": json.dumps(create.filters(labels))}
        items = await self._client.call("GET", "/containers/json", query=query)
        listed = [observe.container_listed(item) for item in items]
        if not limits or self.capabilities.listed_limits:
            return listed
        found = await asyncio.gather(*(self._with_limits(state) for state in listed))
        return [state for state in found if state is not None]

    async def _with_limits(self, state: ContainerState) -> ContainerState | None:
        """None for a container that has been removed meanwhile."""
        try:
            async with self._inspections:
                found = await self.inspect_container(state.id)
        except NotFound:
            return None
        return replace(
            state,
            resources=found.resources,
            restart=found.restart,
            ipc_mode=found.ipc_mode,
            pid_mode=found.pid_mode,
            volumes_from=found.volumes_from,
            started_at=found.started_at,
        )

    async def inspect_container(self, ref: str) -> ContainerState:
        return observe.container_inspected(
            await self._client.call("GET", f"/containers/{_path(ref)}/json")
        )

    async def create_container(self, name: str, config: ContainerConfig) -> str:
        """A container that could not be made whole is removed again.

        One that takes several calls gets its name by the last of them.
        """
        self._refuse_probe(config)
        if config.api_socket:
            from stackr.runtime.docker.api_socket import with_api_socket

            config = await with_api_socket(config, self._own_socket, self._environ)
        if config.volumes_from and not self._client.capabilities:
            config = await with_shared_volumes(config, self.inspect_container)
        at_once = config.networks
        if not self.capabilities.multiple_networks_on_create:
            at_once = config.networks[:1]
        is_whole = at_once == config.networks and not config.files
        first_name = name if is_whole else unfinished_name(name)
        answer = await self._client.call(
            "POST",
            "/containers/create",
            query={"name": first_name, "platform": config.platform or None},
            body=create.container_body(config, at_once),
        )
        container_id = str(answer["Id"])
        try:
            for attachment in config.networks[len(at_once) :]:
                await self.connect_network(container_id, attachment)
            if config.files:
                await self.put_files(container_id, config.files)
            if not is_whole:
                await self.rename_container(container_id, name)
        except BaseException:
            await self.remove_container(container_id, force=True, volumes=True)
            raise
        return container_id

    @property
    def _own_socket(self) -> str:
        """Where stackr's engine listens, on its host; "" for dockerd's usual place."""
        url = self._client.address.url
        is_own = bool(self._client.capabilities) and url.startswith("unix://")
        return url.removeprefix("unix://") if is_own else ""

    def _refuse_probe(self, config: ContainerConfig) -> None:
        test = config.healthcheck.test if config.healthcheck else ()
        if self.capabilities.probes or test[:1] not in _PROBES:
            return
        service = config.labels.get(SERVICE, "")
        where = f"services.{service}.x-stackr.probe" if service else f"probe {test[0]}"
        raise NotSupported(
            f"{where}: not supported by this engine",
            hint="use healthcheck.test, or stackr's embedded engine",
        )

    async def update_container(
        self,
        ref: str,
        *,
        resources: Resources | None = None,
        restart: RestartPolicy | None = None,
        labels: Mapping[str, str | None] | None = None,
    ) -> None:
        from stackr.runtime.docker.limits import update_body

        if labels is not None and not self.capabilities.update_labels:
            raise NotSupported("update of labels: not supported by this engine")
        found = None
        if resources is not None and not self.capabilities.update_lifts:
            found = (await self.inspect_container(ref)).resources
        await self._client.call(
            "POST",
            f"/containers/{_path(ref)}/update",
            query={"replace": True} if resources is not None and found is None else None,
            body=update_body(resources, restart, labels, found=found),
        )

    async def start_container(self, ref: str) -> None:
        await self._unless_so("POST", f"/containers/{_path(ref)}/start")

    async def stop_container(
        self, ref: str, *, timeout_s: float | None = None, signal: str = ""
    ) -> None:
        await self._stop(ref, "stop", timeout_s, signal)

    async def restart_container(self, ref: str, *, timeout_s: float | None = None) -> None:
        await self._stop(ref, "restart", timeout_s, "")

    async def _stop(self, ref: str, verb: str, timeout_s: float | None, signal: str) -> None:
        """The engine answers when the container has ended, so its grace is the call's limit."""
        query = {
            "t": None if timeout_s is None else round(timeout_s),
            "signal": signal or None,
        }
        limit_s = None if timeout_s is None else timeout_s + _STOP_MARGIN_S
        await self._unless_so(
            "POST", f"/containers/{_path(ref)}/{verb}", query=query, timeout_s=limit_s
        )

    async def _unless_so(self, method: str, path: str, **arguments: Any) -> None:
        """304: things are as asked already."""
        try:
            await self._client.call(method, path, **arguments)
        except NotModified:
            return

    async def kill_container(self, ref: str, *, signal: str = "SIGKILL") -> None:
        await self._client.call("POST", f"/containers/{_path(ref)}/kill", query={"signal": signal})

    async def pause_container(self, ref: str) -> None:
        await self._client.call("POST", f"/containers/{_path(ref)}/pause")

    async def unpause_container(self, ref: str) -> None:
        await self._client.call("POST", f"/containers/{_path(ref)}/unpause")

    async def rename_container(self, ref: str, name: str) -> None:
        await self._client.call("POST", f"/containers/{_path(ref)}/rename", query={"name": name})

    async def remove_container(
        self, ref: str, *, force: bool = False, volumes: bool = False
    ) -> None:
        await self._client.call(
            "DELETE", f"/containers/{_path(ref)}", query={"force": force, "v": volumes}
        )

    async def wait_container(self, ref: str, condition: str = "not-running") -> int:
        answer = await self._client.call(
            "POST",
            f"/containers/{_path(ref)}/wait",
            query={"condition": condition},
            timeout_s=None,
        )
        return int(answer["StatusCode"])

    async def promote_container(self, ref: str, *, replaces: str = "") -> None:
        self._check_handover()
        path = f"/stackr/v1/containers/{_path(ref)}/promote"
        await self._client.call("POST", path, query={"replaces": replaces or None})

    async def count_connections(self, ref: str) -> int:
        self._check_handover()
        path = f"/stackr/v1/containers/{_path(ref)}/connections"
        return int((await self._client.call("GET", path))["Total"])

    def _check_handover(self) -> None:
        if not self.capabilities.handover:
            raise NotSupported(
                f'engine "{self._client.address.url}": it cannot hand a container\'s ports and'
                " names over to another",
                hint="stackr's own engine can: --engine embedded",
            )

    async def put_files(self, ref: str, files: Sequence[ContainerFile]) -> None:
        await self._client.call(
            "PUT",
            f"/containers/{_path(ref)}/archive",
            query={"path": "/"},
            body=create.files_archive(files),
        )

    async def logs(
        self,
        ref: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        until: float | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[LogEntry]:
        query = {
            "stdout": True,
            "stderr": True,
            "follow": follow,
            "tail": "all" if tail is None else tail,
            "since": _moment(since),
            "until": _moment(until),
            "timestamps": timestamps,
        }
        path = f"/containers/{_path(ref)}/logs"
        tells = await self._client.version() >= _FRAMED_API
        is_raw = not tells and (await self.inspect_container(ref)).tty
        async with self._client.answer("GET", path, query=query) as (headers, chunks):
            if tells and headers.get("content-type") != _MULTIPLEXED:
                is_raw = (await self.inspect_container(ref)).tty
            async for entry in log_entries(chunks, is_raw=is_raw, timestamps=timestamps):
                yield entry

    async def exec(self, ref: str, config: ExecConfig) -> DockerExec:
        exec_id = await self._create_exec(ref, config, attach=True)
        stream = await self._client.hijack(
            f"/exec/{exec_id}/start", body={"Detach": False, "Tty": config.tty}
        )
        stream.is_raw = config.tty  # older engines call every stream raw
        return DockerExec(self._client, exec_id, stream)

    async def exec_detached(self, ref: str, config: ExecConfig) -> str:
        exec_id = await self._create_exec(ref, config, attach=False)
        await self._client.call(
            "POST", f"/exec/{exec_id}/start", body={"Detach": True, "Tty": config.tty}
        )
        return exec_id

    async def attach(
        self, ref: str, *, stdin: bool = True, stdout: bool = True, stderr: bool = True
    ) -> DockerStreams:
        path = f"/containers/{_path(ref)}"
        is_raw = (await self.inspect_container(ref)).tty
        query = {"stream": True, "stdin": stdin, "stdout": stdout, "stderr": stderr}
        stream = await self._client.hijack(f"{path}/attach", query=query)
        stream.is_raw = is_raw
        return DockerStreams(self._client, path, stream)

    @asynccontextmanager
    async def ending(
        self, ref: str, condition: str = "next-exit"
    ) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        path = f"/containers/{_path(ref)}/wait"
        query = {"condition": condition}
        async with self._client.stream("POST", path, query=query) as chunks:

            async def exit_code() -> int:
                return _exit_code([value async for value in self._client.lines(chunks, path)])

            yield exit_code

    async def stats(self, ref: str, *, stream: bool = True) -> AsyncIterator[ContainerStats]:
        path = f"/containers/{_path(ref)}/stats"
        async with self._client.stream("GET", path, query={"stream": stream}) as chunks:
            async for item in self._client.lines(chunks, path):
                yield observe.container_stats(item)

    # --- files ---------------------------------------------------------------------------------

    async def stat_path(self, ref: str, path: str) -> PathStat:
        return await files.stat_path(self._client, _path(ref), path)

    def get_archive(
        self, ref: str, path: str
    ) -> AbstractAsyncContextManager[tuple[PathStat, AsyncIterator[bytes]]]:
        return files.get_archive(self._client, _path(ref), path)

    async def put_archive(
        self,
        ref: str,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        as_user: bool = False,
        replace: bool = False,
    ) -> None:
        await files.put_archive(
            self._client, _path(ref), path, archive, as_user=as_user, replace=replace
        )

    def export(self, ref: str) -> AsyncIterator[bytes]:
        return files.export(self._client, _path(ref))

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
        return await files.commit(
            self._client,
            ref,
            repository=repository,
            tag=tag,
            author=author,
            message=message,
            changes=changes,
            pause=pause,
        )

    async def _create_exec(self, ref: str, config: ExecConfig, *, attach: bool) -> str:
        answer = await self._client.call(
            "POST",
            f"/containers/{_path(ref)}/exec",
            body=create.exec_body(config, attach=attach),
        )
        return str(answer["Id"])

    # --- networks and volumes ------------------------------------------------------------------

    async def list_networks(self, *, labels: Sequence[str] = ()) -> list[NetworkState]:
        query = {"filters": json.dumps(create.filters(labels))}
        items = await self._client.call("GET", "/networks", query=query)
        return [observe.network_state(item) for item in items]

    async def inspect_network(self, ref: str) -> NetworkState:
        return observe.network_state(await self._client.call("GET", f"/networks/{_path(ref)}"))

    async def create_network(self, config: NetworkConfig) -> str:
        answer = await self._client.call(
            "POST", "/networks/create", body=create.network_body(config)
        )
        return str(answer["Id"])

    async def remove_network(self, ref: str) -> None:
        # For few commands, and those are not the quick ones.
        from stackr.runtime.docker.network_removal import remove_network

        await remove_network(self._client, ref)

    async def connect_network(self, container: str, attachment: NetworkAttachment) -> None:
        await self._client.call(
            "POST",
            f"/networks/{_path(attachment.network)}/connect",
            body={"Container": container, "EndpointConfig": create.endpoint_body(attachment)},
        )

    async def disconnect_network(
        self, container: str, network: str, *, force: bool = False
    ) -> None:
        await self._client.call(
            "POST",
            f"/networks/{_path(network)}/disconnect",
            body={"Container": container, "Force": force},
        )

    async def network_faults(self, ref: str) -> list[NetworkFault]:
        self._check_network_repair()
        found = await self._client.call("GET", f"/stackr/v1/networks/{_path(ref)}/faults")
        return [observe.network_fault(item) for item in found]

    async def repair_network(self, ref: str) -> None:
        self._check_network_repair()
        await self._client.call("POST", f"/stackr/v1/networks/{_path(ref)}/repair")

    def _check_network_repair(self) -> None:
        if not self.capabilities.network_repair:
            raise NotSupported("this engine does not tell what is missing of its networks")

    async def list_volumes(self, *, labels: Sequence[str] = ()) -> list[VolumeState]:
        query = {"filters": json.dumps(create.filters(labels))}
        answer = await self._client.call("GET", "/volumes", query=query)
        return [observe.volume_state(item) for item in answer.get("Volumes") or []]

    async def inspect_volume(self, name: str) -> VolumeState:
        return observe.volume_state(await self._client.call("GET", f"/volumes/{_path(name)}"))

    async def create_volume(self, config: VolumeConfig) -> None:
        await self._client.call("POST", "/volumes/create", body=create.volume_body(config))

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        await self._client.call("DELETE", f"/volumes/{_path(name)}", query={"force": force})

    # --- images --------------------------------------------------------------------------------

    async def inspect_image(self, ref: str) -> ImageState:
        return observe.image_state(
            await self._client.call("GET", f"/images/{_path(ref, safe='/')}/json")
        )

    async def pull_image(
        self, reference: str, *, platform: str = ""
    ) -> AsyncIterator[PullProgress]:
        query = {"fromImage": reference, "platform": platform or None}
        if "@" not in reference and ":" not in reference.rpartition("/")[2]:
            query["tag"] = "latest"  # an untagged name means every tag to the API
        headers = await distribution.auth_headers(reference, self._environ)
        path = "/images/create"
        async with self._client.stream("POST", path, query=query, headers=headers) as chunks:
            async for item in self._client.lines(chunks, path):
                if item.get("error"):
                    raise distribution.registry_error(str(item["error"]))
                yield observe.pull_progress(item)

    async def build_image(self, build: ImageBuild) -> AsyncIterator[BuildProgress]:
        from stackr.runtime.docker.build.image import build_image  # parsers, for builds alone

        has_own = self.capabilities.build
        async for progress in build_image(self._client, build, self._environ, has_own=has_own):
            yield progress

    async def image_config(self, reference: str) -> tuple[str, Mapping[str, Any]]:
        answer = await self._client.call("GET", f"/images/{_path(reference, safe='/')}/json")
        return str(answer["Id"]), answer.get("Config") or {}

    async def push_image(self, reference: str) -> AsyncIterator[PullProgress]:
        # dockerd insists on the header
        auth = await registry_auth(reference, self._environ) or _NO_CREDENTIALS
        name, colon, tag = reference.rpartition(":")
        if "@" in reference or not colon or "/" in tag:
            name, tag = reference, "" if "@" in reference else "latest"
        path, query = f"/images/{_path(name, safe='/')}/push", {"tag": tag}
        headers = {"X-Registry-Auth": auth}
        async with self._client.stream("POST", path, query=query, headers=headers) as chunks:
            async for item in self._client.lines(chunks, path):
                if item.get("error"):
                    raise distribution.registry_error(str(item["error"]))
                yield observe.pull_progress(item)

    async def resolve_image(self, reference: str) -> str:
        return await distribution.resolve_image(self._client, reference, self._environ)

    async def remove_image(self, ref: str, *, force: bool = False) -> None:
        await self._client.call("DELETE", f"/images/{_path(ref, safe='/')}", query={"force": force})


def _path(ref: str, *, safe: str = "") -> str:
    """Raises InvalidArgument for an empty name, which would make it another call."""
    if not ref:
        raise InvalidArgument("invalid name or ID: value is empty")
    return quote(ref, safe=safe + ":@")


def _moment(value: float | None) -> str | None:
    return None if value is None else f"{value:.9f}"


def _exit_code(answers: Sequence[Any]) -> int:
    """Of the last line of a wait, in which the engine may also say why it gave up."""
    if not answers:
        raise Unavailable("engine: a wait ended without an exit code")
    error = (answers[-1].get("Error") or {}).get("Message")
    if error:
        raise Internal(str(error))
    return int(answers[-1]["StatusCode"])
