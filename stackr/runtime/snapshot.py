"""One look at all that an engine has of a project: in one call where it can, else in several.

Which of these belongs to a plan is the planner's to say: an engine may tell of more than was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from stackr.errors import NotFound
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime, SupportsNetworkRepair
from stackr.runtime.types import (
    ContainerState,
    ImageState,
    NetworkFault,
    NetworkState,
    VolumeState,
)

__all__ = ["Snapshot", "SnapshotQuery", "SupportsSnapshot", "in_calls", "take_snapshot"]


@dataclass(frozen=True, slots=True)
class SnapshotQuery:
    """What belongs to `project` by its labels, and what is looked for by name beside that.

    images: by reference. containers: of others. networks: also with their faults. limits: as
    `list_containers` has it.
    """

    project: str
    images: Sequence[str] = ()
    containers: Sequence[str] = ()
    networks: Collection[str] = ()
    volumes: Collection[str] = ()
    limits: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """containers: the project's. images, referenced: by what was asked for; what is not here is
    left out. faults: by the network's name; networks without any are left out."""

    containers: Sequence[ContainerState]
    networks: Sequence[NetworkState]
    volumes: Sequence[VolumeState]
    images: Mapping[str, ImageState] = field(default_factory=dict)
    referenced: Mapping[str, ContainerState] = field(default_factory=dict)
    faults: Mapping[str, Sequence[NetworkFault]] = field(default_factory=dict)


@runtime_checkable
class SupportsSnapshot(Protocol):
    async def snapshot(self, query: SnapshotQuery) -> Snapshot: ...


async def take_snapshot(runtime: Runtime, query: SnapshotQuery) -> Snapshot:
    """Nothing is changed."""
    if isinstance(runtime, SupportsSnapshot):
        return await runtime.snapshot(query)
    return await in_calls(runtime, query)


async def in_calls(runtime: Runtime, query: SnapshotQuery) -> Snapshot:
    """The same by the calls that every engine has, side by side."""
    containers, networks, volumes, images, referenced = await asyncio.gather(
        runtime.list_containers(labels=[f"{labels.PROJECT}={query.project}"], limits=query.limits),
        runtime.list_networks(),
        runtime.list_volumes(),
        asyncio.gather(*(_image(runtime, reference) for reference in query.images)),
        asyncio.gather(*(_container(runtime, name) for name in query.containers)),
    )
    wanted = [network for network in networks if network.name in query.networks]
    return Snapshot(
        containers,
        networks,
        volumes,
        {name: each for name, each in zip(query.images, images, strict=True) if each},
        {name: each for name, each in zip(query.containers, referenced, strict=True) if each},
        await _faults(runtime, wanted),
    )


async def _image(runtime: Runtime, reference: str) -> ImageState | None:
    try:
        return await runtime.inspect_image(reference)
    except NotFound:
        return None


async def _container(runtime: Runtime, name: str) -> ContainerState | None:
    try:
        return await runtime.inspect_container(name)
    except NotFound:
        return None


async def _faults(
    runtime: Runtime, networks: Sequence[NetworkState]
) -> dict[str, Sequence[NetworkFault]]:
    if not runtime.capabilities.network_repair or not isinstance(runtime, SupportsNetworkRepair):
        return {}
    found = await asyncio.gather(*(_faults_of(runtime, network.id) for network in networks))
    return {network.name: each for network, each in zip(networks, found, strict=True) if each}


async def _faults_of(runtime: SupportsNetworkRepair, ref: str) -> Sequence[NetworkFault]:
    try:
        return await runtime.network_faults(ref)
    except NotFound:
        return ()  # removed this moment
