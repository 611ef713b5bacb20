"""How a plan of `up` goes for those who use the services: who is away, for which order, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.project import DesiredService
from stackr.planner.observe.observed import service_of
from stackr.planner.plan.model import Action, Change, Kind, Operation
from stackr.planner.plan.outlook import Affected, Away, Rollout, Stage
from stackr.planner.steps.draft import Draft
from stackr.planner.steps.networks import attached
from stackr.planner.steps.rolling import rolled, starts_first, update_config
from stackr.runtime.types import ContainerState

__all__ = ["stages", "with_outlook"]


def with_outlook(draft: Draft, changes: Iterable[Change]) -> list[Change]:
    """The changes, each with how its containers are replaced, and whose network goes."""
    rollouts = {
        name: rollout
        for name, service in draft.desired.services.items()
        if (rollout := _rollout(draft, service)) is not None
    }
    return [_told(draft, change, rollouts) for change in changes]


def _told(draft: Draft, change: Change, rollouts: dict[str, Rollout]) -> Change:
    resource = change.resource
    if resource.kind == "network" and change.kind is Kind.RECREATE:
        return replace(change, affects=tuple(_affected(draft, resource.name)))
    if change.kind in (Kind.RECREATE, Kind.RESTART) and resource.service in rollouts:
        return replace(change, rollout=rollouts[resource.service])
    return change


def _rollout(draft: Draft, service: DesiredService) -> Rollout | None:
    """None for a service of which nothing that runs is replaced or started again."""
    slots = draft.slots.get(service.name, [])
    going = [slot for slot in slots if _goes(draft, slot)]
    if not going:
        return None
    config = update_config(draft, service)
    batch = rolled(draft, service) if config is not None else []
    if config is None or len(batch) < len(going):
        stays = any(_stays(draft, slot) for slot in slots)
        return Rollout("stop-first", len(going), away="partly" if stays else "yes")
    size = 1 if config.parallelism is None else config.parallelism
    if starts_first(draft, service):
        return Rollout("start-first", len(going), size, is_rolling=True, away="no")
    is_split = 0 < size < len(going) or any(_stays(draft, slot) for slot in slots)
    away: Away = "partly" if is_split else "yes"
    return Rollout("stop-first", len(going), size, is_rolling=True, away=away)


def _goes(draft: Draft, slot: Slot) -> bool:
    container = slot.container
    return (
        slot.verdict is not Verdict.REMOVE
        and container is not None
        and (container.id in draft.stops)
    )


def _stays(draft: Draft, slot: Slot) -> bool:
    kept = slot.kept
    return kept is not None and kept.is_running and kept.id not in draft.stops


def _affected(draft: Draft, network: str) -> Iterable[Affected]:
    slots = {s.container.id: s for s in draft.all_slots() if s.container is not None}
    for container in attached(draft.observed, network):
        if how := _how(draft, container, slots.get(container.id)):
            yield Affected(container.name, how)


def _how(draft: Draft, container: ContainerState, slot: Slot | None) -> str:
    """What becomes of a container whose network goes; "" for one that does not run."""
    if slot is not None and slot.kept is None:
        return "removed" if slot.is_removed else "recreated"
    if not container.is_running:
        return ""
    if slot is not None:
        return "restarted" if draft.options.start else "stopped"
    is_orphan = service_of(container) not in draft.desired.known_services
    return "removed" if is_orphan and draft.options.remove_orphans else "cut off"


_STOPS = (Action.STOP_CONTAINER,)
_STARTS = (Action.START_CONTAINER, Action.UNPAUSE_CONTAINER)


def stages(operations: Iterable[Operation]) -> tuple[Stage, ...]:
    """Which services stop, and which start, after one another; one pass over the operations.

    A service that starts before its old containers stop counts as started only.
    """
    depths: dict[str, dict[int, int]] = {"stop": {}, "start": {}}
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for operation in operations:
        own = _verb(operation)
        for verb, depth in depths.items():
            above = max((depth[need] for need in operation.depends_on), default=0)
            depth[operation.id] = above + (verb == own)
        if own:
            key, here = (own, operation.resource.service), (depths[own][operation.id], operation.id)
            first[key] = min(first.get(key, here), here)
    for verb, service in list(first):
        started = first.get(("start", service))
        if verb == "stop" and started is not None and started[1] < first[verb, service][1]:
            del first[verb, service]
    return tuple(stage for verb in ("stop", "start") for stage in _of_verb(verb, first))


def _verb(operation: Operation) -> str:
    if operation.resource.kind != "container" or not operation.resource.service:
        return ""
    if operation.action in _STOPS:
        return "stop"
    return "start" if operation.action in _STARTS else ""


def _of_verb(verb: str, first: dict[tuple[str, str], tuple[int, int]]) -> Iterable[Stage]:
    depths: dict[int, list[str]] = {}
    for (each, service), (depth, _) in first.items():
        if each == verb:
            depths.setdefault(depth, []).append(service)
    for depth in sorted(depths):
        yield Stage(verb, tuple(sorted(depths[depth])))
