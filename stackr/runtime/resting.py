"""The engine of stackr itself while it does not run, for those who only look.

It has no containers, networks and volumes, and the images of its records. What only an engine that
runs can answer (a registry's question) starts it after all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, cast

from stackr.errors import NotFound, Unavailable
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.at_rest import Rest
from stackr.runtime.protocol import (
    Runtime,
    SupportsAttach,
    SupportsBuild,
    SupportsExec,
    SupportsFiles,
    SupportsHandover,
    SupportsLocks,
    SupportsLogs,
    SupportsNetworkRepair,
    SupportsRawRequest,
    SupportsStats,
)
from stackr.runtime.snapshot import Snapshot, SnapshotQuery, in_calls
from stackr.runtime.types import (
    Capabilities,
    Closing,
    ContainerState,
    ImageState,
    NetworkFault,
    NetworkState,
    VolumeState,
)

__all__ = ["STARTED_BY", "RestingRuntime"]

STARTED_BY = "up starts it when it is needed; stackr engine start does so at once"


class RestingRuntime(Closing):
    """Of `stackr.runtime.protocol.Runtime`, what planning needs. wake: starts the engine."""

    def __init__(
        self, rest: Rest, capabilities: Capabilities, wake: Callable[[], Awaitable[Runtime]]
    ) -> None:
        self.capabilities = capabilities
        self._rest = rest
        self._wake = wake
        self._awake: Runtime | None = None

    async def close(self) -> None:
        if self._awake is not None:
            await self._awake.close()

    async def list_containers(
        self, *, labels: Sequence[str] = (), all: bool = True, limits: bool = False
    ) -> list[ContainerState]:
        return []

    async def inspect_container(self, ref: str) -> ContainerState:
        raise NotFound(f"No such container: {ref}")

    async def list_networks(self, *, labels: Sequence[str] = ()) -> list[NetworkState]:
        """Those that it makes at its start."""
        return [] if labels else [NetworkState(name, name) for name in ("bridge", "host", "none")]

    async def list_volumes(self, *, labels: Sequence[str] = ()) -> list[VolumeState]:
        return []

    async def inspect_image(self, ref: str) -> ImageState:
        id, record = self._image(ref)
        oci, names = record["oci"], [n for n, image in self._rest.names.items() if image == id]
        familiar = [parse_reference(name).familiar for name in names]
        config = oci.get("config") or {}
        return ImageState(
            id,
            tuple(name for name in familiar if "@" not in name),
            tuple(name for name in familiar if "@" in name),
            size_bytes=record.get("size_bytes") or 0,
            created=_unix_time(oci.get("created")),
            tagged=_unix_time(record.get("last_tagged")),
            os=oci.get("os") or "",
            architecture=oci.get("architecture") or "",
            variant=oci.get("variant") or "",
            volumes=tuple(config.get("Volumes") or ()),
            labels=config.get("Labels") or {},
        )

    async def image_config(self, reference: str) -> tuple[str, Mapping[str, Any]]:
        id, record = self._image(reference)
        return id, record["oci"].get("config") or {}

    async def resolve_image(self, reference: str) -> str:
        if self._awake is None:
            self._awake = await self._wake()
        return await self._awake.resolve_image(reference)

    async def network_faults(self, ref: str) -> list[NetworkFault]:
        return []

    async def snapshot(self, query: SnapshotQuery) -> Snapshot:
        return await in_calls(cast(Runtime, self), query)

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """It can all that the engine can, but not now."""
        if name not in _CALLS:
            raise AttributeError(name)  # so that it is taken for no engine of another kind

        def refuse(*_: object, **__: object) -> NoReturn:
            raise Unavailable("engine: it does not run", hint=STARTED_BY)

        return refuse

    def _image(self, ref: str) -> tuple[str, Mapping[str, Any]]:
        """By a name, or by the whole ID."""
        if ref in self._rest.images:
            return ref, self._rest.images[ref]
        name = parse_reference(ref).with_default_tag()
        keys = [str(name)] + ([str(name.with_digest(name.digest))] if name.digest else [])
        for key in keys:
            id = self._rest.names.get(key, "")
            if id in self._rest.images:
                return id, self._rest.images[id]
        raise NotFound(f"No such image: {name.familiar}")


_CALLS = {
    name
    for protocol in (
        *(Runtime, SupportsAttach, SupportsBuild, SupportsExec, SupportsFiles, SupportsHandover),
        *(SupportsLocks, SupportsLogs, SupportsNetworkRepair, SupportsRawRequest, SupportsStats),
    )
    for name in dir(protocol)
    if not name.startswith("_")
}


def _unix_time(text: str | None) -> float:
    """RFC 3339; 0 for what is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        return 0.0
