"""References of a service to other containers: whose namespaces it joins, whose volumes it mounts.

An engine keeps such a reference by the container's ID. It is stale once that container has made
way for another one; a namespace is also lost when its container ends, however it comes back.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackr.planner.observed import Observed
from stackr.planner.plan import FieldChange, Origin
from stackr.runtime.types import ContainerState
from stackr.spec.attribute import Namespace
from stackr.spec.declared import of_service

if TYPE_CHECKING:
    from stackr.planner.slots import Slot
    from stackr.spec.model.project import Project
    from stackr.spec.model.service import Service

__all__ = [
    "Reference",
    "Target",
    "is_severed",
    "joined",
    "references",
    "stale_references",
    "target_of",
]

_CONTAINER = "container:"
_SERVICE = "service:"
_VOLUMES_FROM = "volumes_from"
_MODES = [at for at, mark in of_service(Namespace).items() if "container" in mark.forms]


@dataclass(frozen=True, slots=True)
class Reference:
    """path: the attribute that has it. service: of this project, "" for a container by name."""

    path: str
    service: str
    container: str = ""

    @property
    def name(self) -> str:
        """As the stack file has it."""
        return self.service or self.container


@dataclass(frozen=True, slots=True)
class Target:
    """The container that a reference is to mean. state: None for one that is yet to be made.

    slot: what becomes of it; None for one that this plan leaves alone.
    """

    name: str
    state: ContainerState | None
    slot: Slot | None = None


def references(project: Project, service: Service) -> tuple[Reference, ...]:
    """All of a service's references; `container:NAME` of this project is one to its service."""
    found = (_inside(project, each) for each in (*_joined(service), *_volume_sources(service)))
    return tuple(reference for reference in found if reference.service != service.name)


def joined(found: Iterable[Reference]) -> list[Reference]:
    """The references by which a namespace is shared."""
    return [reference for reference in found if reference.path != _VOLUMES_FROM]


def _joined(service: Service) -> Iterator[Reference]:
    for path in _MODES:
        mode = getattr(service, path) or ""
        if mode.startswith(_SERVICE):
            yield Reference(path, mode.removeprefix(_SERVICE))
        elif mode.startswith(_CONTAINER):
            yield Reference(path, "", mode.removeprefix(_CONTAINER))


def _volume_sources(service: Service) -> Iterator[Reference]:
    for source in service.volumes_from:
        name = source.removeprefix(_CONTAINER).partition(":")[0]
        is_outside = source.startswith(_CONTAINER)
        yield Reference(_VOLUMES_FROM, *(("", name) if is_outside else (name, "")))


def _inside(project: Project, reference: Reference) -> Reference:
    if reference.service:
        return reference
    owners = (n for n, each in project.services.items() if each.container_name)
    for name in owners:
        if project.services[name].container_name == reference.container:
            return Reference(reference.path, name)
    return reference


def target_of(
    reference: Reference, slots: Mapping[str, list[Slot]], observed: Observed
) -> Target | None:
    """What a reference means in this plan; None for a container that is not there.

    slots: of the services that were decided before the one that refers to them.
    """
    if reference.service in slots:
        lasting = (slot for slot in slots[reference.service] if not slot.is_removed)
        return next((Target(slot.name, slot.kept, slot) for slot in lasting), None)
    if reference.service:
        there = observed.of_service(reference.service)
    else:
        there = tuple(filter(None, [observed.referenced.get(reference.container)]))
    return next((Target(state.name, state) for state in there if not state.is_unfinished), None)


def stale_references(
    targets: Mapping[Reference, Target], container: ContainerState
) -> tuple[FieldChange, ...]:
    """The references of a container that mean another one than they should, field by field."""
    changes = []
    for reference, target in targets.items():
        held = _held(reference, container)
        if held and not any(_means(each, target) for each in held):
            changes.append(
                FieldChange(
                    reference.path,
                    ", ".join(f"container {each[:12]}" for each in held),
                    f"container {target.name if target.state is None else target.state.id[:12]}",
                    note=f'"{reference.name}" is another container now',
                    origin=Origin.DRIFT,
                )
            )
    return tuple(changes)


def _held(reference: Reference, container: ContainerState) -> list[str]:
    """The containers, by ID or name, that the engine knows for this attribute; [] if it is mute."""
    if reference.path == _VOLUMES_FROM:
        return [source.partition(":")[0] for source in container.volumes_from]
    modes = {
        "network_mode": container.network_mode,
        "ipc": container.ipc_mode,
        "pid": container.pid_mode,
    }
    mode = modes[reference.path]
    return [mode.removeprefix(_CONTAINER)] if mode.startswith(_CONTAINER) else []


def _means(held: str, target: Target) -> bool:
    if target.state is None:
        return False
    return held == target.state.name or target.state.id.startswith(held)


def is_severed(container: ContainerState, target: ContainerState) -> bool:
    """Whether a running container still sits in a namespace that the running target has left.

    An engine that does not tell is judged by who started last: who joins a container follows it.
    """
    if container.severed is not None:
        return container.severed
    return 0 < container.started_at < target.started_at
