"""What references to other containers mean in a plan, and which of them are stale.

An engine keeps such a reference by the container's ID. It is stale once that container has made
way for another one; a namespace is also lost when its container ends, however it comes back.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stackr.planner.change.slot import Slot
from stackr.planner.desired.references import VOLUMES_FROM, Reference
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import FieldChange, Origin
from stackr.runtime.types import ContainerState

__all__ = ["Target", "is_severed", "stale_references", "target_of"]

_CONTAINER = "container:"


@dataclass(frozen=True, slots=True)
class Target:
    """The container that a reference is to mean. state: None for one that is yet to be made.

    slot: what becomes of it; None for one that this plan leaves alone.
    """

    name: str
    state: ContainerState | None
    slot: Slot | None = None


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
    if reference.path == VOLUMES_FROM:
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
