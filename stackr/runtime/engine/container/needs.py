"""What containers need of the engine's other parts, so that they can be taken apart for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from stackr.runtime.engine.image.model import Image
from stackr.runtime.engine.network.types import (
    Connections,
    ContainerNet,
    Endpoint,
    EndpointSpec,
    Network,
    SandboxInfo,
)
from stackr.runtime.engine.volume import Volume

__all__ = ["ImageSource", "NetworkAccess", "VolumeAccess"]


class ImageSource(Protocol):
    """`stackr.runtime.engine.image.service.Images`."""

    def get(self, name_or_id: str) -> Image: ...


class NetworkAccess(Protocol):
    """`stackr.runtime.engine.network.service.Networks`."""

    def get(self, reference: str) -> Network: ...
    def sandbox(self, container_id: str) -> SandboxInfo | None: ...
    async def attach(self, container: ContainerNet, pid: int) -> SandboxInfo: ...
    async def adopt(self, container_id: str, pid: int) -> SandboxInfo: ...
    async def detach(self, container_id: str) -> None: ...
    async def connect(
        self, container_id: str, spec: EndpointSpec, hostname: str = ""
    ) -> Endpoint: ...
    async def disconnect(self, container_id: str, reference: str) -> Endpoint: ...
    async def promote(
        self, container: ContainerNet, replaces: str, record: Callable[[], None]
    ) -> None: ...
    async def connections(self, container_id: str) -> Connections: ...
    def rename(self, container_id: str, name: str) -> None: ...
    def heed(self, stated: Callable[[Sequence[str]], Iterable[str]]) -> None: ...
    def resolv_conf(
        self,
        dns: Sequence[str],
        search: Sequence[str],
        options: Sequence[str],
        *,
        embedded: bool,
    ) -> str: ...


class VolumeAccess(Protocol):
    """`stackr.runtime.engine.volume.Volumes`."""

    def get(self, name: str) -> Volume: ...
    async def create(
        self,
        name: str | None = None,
        driver: str = "local",
        driver_opts: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume: ...
    def fill(self, name: str, subpath: str, copy: Callable[[int], bool]) -> None: ...
    def acquire(self, name: str, container_id: str) -> Volume: ...
    def release(self, container_id: str) -> None: ...
    async def remove(self, name: str, *, force: bool = False) -> None: ...
