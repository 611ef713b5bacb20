"""One read-only snapshot of what an engine has of a project, in one call where it can."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackr.errors import NotFound
from stackr.planner.desired.image_build import PlannedBuild
from stackr.planner.desired.project import Desired
from stackr.planner.plan.model import Resource
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.snapshot import SnapshotQuery, take_snapshot
from stackr.runtime.types import (
    Capabilities,
    ContainerState,
    ImageState,
    NetworkFault,
    NetworkState,
    VolumeState,
)
from stackr.text import whole_number

__all__ = [
    "Observed",
    "by_service",
    "chosen_containers",
    "dependencies_of",
    "needs_of",
    "number_of",
    "observe",
    "resource_of",
    "service_of",
    "told_dependencies",
]


@dataclass(frozen=True, slots=True)
class Observed:
    """containers: of the project, by service, number and name. oneoffs: those of `run`, likewise.
    steps: those of `pre_start`, likewise.

    networks, volumes: by name; those of the project, and those that were asked for by name.
    images: by the reference that was asked for; one that is not here is left out. engine: what it
    can do. history: the volumes that keep the project's revisions, by name. at: when it was looked
    at, in Unix seconds. moved: references that have another digest in their registry by now, with
    that digest; only where the registry was asked. referenced: containers that services refer to by
    a name that is not of the project, by that name; one that is not there is left out. strangers:
    the containers of others that mount a volume, by its name; only where that was asked for.
    builds: images that services build, by reference, where the sources were looked at.
    faults: what the host has lost of the wanted networks, by name; none are left out.
    """

    project: str
    containers: tuple[ContainerState, ...] = ()
    networks: Mapping[str, NetworkState] = field(default_factory=dict)
    volumes: Mapping[str, VolumeState] = field(default_factory=dict)
    images: Mapping[str, ImageState] = field(default_factory=dict)
    engine: Capabilities = field(default_factory=Capabilities)
    oneoffs: tuple[ContainerState, ...] = ()
    steps: tuple[ContainerState, ...] = ()
    history: Mapping[str, VolumeState] = field(default_factory=dict)
    at: float = 0
    moved: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Sequence[NetworkFault]] = field(default_factory=dict)
    referenced: Mapping[str, ContainerState] = field(default_factory=dict)
    strangers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    builds: Mapping[str, PlannedBuild] = field(default_factory=dict)
    _by_service: Mapping[str, list[ContainerState]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_service", by_service(self.containers))

    def of_service(self, service: str) -> Sequence[ContainerState]:
        return self._by_service.get(service, ())

    def steps_of(self, services: Collection[str]) -> tuple[ContainerState, ...]:
        """The containers of `pre_start` of these services."""
        return tuple(c for c in self.steps if service_of(c) in services)

    def only(self, services: Collection[str]) -> Observed:
        """The same without the containers of other services."""
        return replace(
            self,
            containers=tuple(c for c in self.containers if service_of(c) in services),
            oneoffs=tuple(c for c in self.oneoffs if service_of(c) in services),
            steps=self.steps_of(services),
        )


async def observe(
    runtime: Runtime,
    project: str,
    wanted: Desired | None = None,
    *,
    limits: bool = False,
    strangers: bool = False,
) -> Observed:
    """Ask the engine what there is; nothing is changed.

    wanted: its images, networks and volumes are looked for by name, beside the project's own.
    limits: containers with their limits, which some engines tell of each container alone.
    strangers: who else uses the volumes.
    """
    services = wanted.services.values() if wanted else ()
    references = sorted({image for service in services for image in service.images})
    network_names = {network.name for network in wanted.networks.values()} if wanted else set()
    volume_names = {volume.name for volume in wanted.volumes.values()} if wanted else set()
    outside = sorted({each.container for s in services for each in s.references if each.container})
    query = SnapshotQuery(project, references, outside, network_names, volume_names, limits)
    found = await take_snapshot(runtime, query)
    return Observed(
        project=project,
        faults=found.faults,
        containers=tuple(sorted((c for c in found.containers if _is_service(c)), key=_place)),
        oneoffs=tuple(sorted((c for c in found.containers if _is_oneoff(c)), key=_place)),
        steps=tuple(sorted((c for c in found.containers if _is_step(c)), key=_place)),
        networks={
            network.name: network
            for network in sorted(found.networks, key=lambda network: (network.name, network.id))
            if network.name in network_names or network.labels.get(labels.PROJECT) == project
        },
        volumes={
            volume.name: volume
            for volume in sorted(found.volumes, key=lambda volume: volume.name)
            if volume.name in volume_names or volume.labels.get(labels.PROJECT) == project
        },
        images=found.images,
        engine=runtime.capabilities,
        history={v.name: v for v in found.volumes if v.labels.get(labels.HISTORY) == project},
        at=time.time(),
        strangers=await _strangers(runtime, project) if strangers else {},
        referenced=found.referenced,
    )


async def _strangers(runtime: Runtime, project: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for container in await runtime.list_containers():
        if container.labels.get(labels.PROJECT) != project:
            for mount in container.mounts:
                found.setdefault(mount.name, []).append(container.name)
    return found


def service_of(container: ContainerState) -> str:
    return container.labels.get(labels.SERVICE, "")


def by_service(containers: Iterable[ContainerState]) -> dict[str, list[ContainerState]]:
    found: dict[str, list[ContainerState]] = {}
    for container in containers:
        found.setdefault(service_of(container), []).append(container)
    return found


def chosen_containers(observed: Observed, services: Collection[str]) -> list[ContainerState]:
    """Of these services, () for all. Raises NotFound for a service that has no container."""
    for name in services:
        if not observed.of_service(name):
            raise NotFound(f'service "{name}" has no container')
    return [c for c in observed.containers if not services or service_of(c) in services]


def other_stack_of(container: ContainerState, working_dir: str) -> str:
    """The stack file, or folder, that a container was made from; "" where that is this folder's."""
    folder = container.labels.get(labels.WORKING_DIR, "")
    if not folder or not working_dir or folder == working_dir:
        return ""
    return container.labels.get(labels.CONFIG_FILES, "").partition(",")[0] or folder


def resource_of(container: ContainerState) -> Resource:
    return Resource("container", container.name, service_of(container), number_of(container))


def dependencies_of(container: ContainerState) -> list[tuple[str, str]]:
    """The services that the container's own one needs, each with the condition."""
    told = told_dependencies(container.labels.get(labels.DEPENDS_ON, ""))
    return [(name, each["condition"]) for name, each in told.items()]


def needs_of(containers: Iterable[ContainerState]) -> dict[str, set[str]]:
    """Each of their services with those that it needs."""
    needs: dict[str, set[str]] = {}
    for container in containers:
        needed = {name for name, _ in dependencies_of(container)}
        needs.setdefault(service_of(container), set()).update(needed)
    return needs


def told_dependencies(text: str) -> dict[str, dict[str, Any]]:
    """What a container's label, as `db:service_healthy:false,...`, says of `depends_on`."""
    entries = (entry.split(":") for entry in text.split(",") if entry)
    return {
        name: {
            "condition": rest[0] if rest else "service_started",
            "restart": rest[1:] == ["true"],
        }
        for name, *rest in entries
    }


def number_of(container: ContainerState) -> int:
    """The replica's number, 0 if its label does not say."""
    text = container.labels.get(labels.CONTAINER_NUMBER, "")
    return whole_number(text) or 0


def _is_service(container: ContainerState) -> bool:
    is_beside = _is_oneoff(container) or _is_step(container)
    return bool(service_of(container)) and not is_beside


def _is_oneoff(container: ContainerState) -> bool:
    return container.labels.get(labels.ONEOFF) == "True" and not _is_step(container)


def _is_step(container: ContainerState) -> bool:
    return container.labels.get(labels.HOOK) == labels.PRE_START


def _place(container: ContainerState) -> tuple[str, int, str]:
    return service_of(container), number_of(container), container.name
