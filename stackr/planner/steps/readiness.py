"""When a service is ready, and what a start follows for that reason: `depends_on` and `--wait`."""

from __future__ import annotations

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.project import DesiredService
from stackr.planner.plan.builder import Entry
from stackr.planner.plan.model import Action
from stackr.planner.plan.payloads import WaitFor
from stackr.planner.steps.draft import Draft
from stackr.runtime.types import ContainerState
from stackr.spec.decode import EXTENSION

__all__ = ["COMPLETED", "condition_of", "conditions", "holds", "is_one_shot", "wait_timeout_s"]

COMPLETED = "service_completed_successfully"


def condition_of(draft: Draft, service: DesiredService) -> str:
    """When the service is ready, nobody else asking: done, if others wait for its end."""
    return COMPLETED if is_one_shot(draft, service) else "running_or_healthy"


def wait_timeout_s(draft: Draft, service: DesiredService | None) -> float | None:
    """How long the service may take: what the options say, or `x-stackr.ready_timeout` if less."""
    own = None
    if service is not None and EXTENSION in service.service.extensions:
        own = service.service.stackr.ready_timeout
    limits = [limit for limit in (own, draft.options.wait_timeout_s) if limit is not None]
    return min(limits) if limits else None


def conditions(draft: Draft, service: DesiredService, needed: str) -> list[Entry]:
    """What a start of `service` follows, so that `needed` is as its condition says."""
    dependency = service.depends_on[needed]
    entries: list[Entry] = []
    for slot in draft.slots.get(needed, ()):
        if slot.verdict is Verdict.REMOVE:
            continue
        if dependency.condition == "service_started" and dependency.required:
            entries += draft.started(slot)
        elif slot.name in draft.starts or not holds(slot.container, dependency.condition):
            entries.append(_wait(draft, slot, dependency.condition, needed, dependency.required))
    return entries


def _wait(draft: Draft, slot: Slot, condition: str, needed: str, required: bool) -> Entry:
    key = (slot.name, condition, required)
    if key not in draft.waits:
        users = tuple(
            name
            for name, service in draft.desired.services.items()
            if needed in service.depends_on
            and service.depends_on[needed].condition == condition
            and service.depends_on[needed].required == required
        )
        timeout_s = wait_timeout_s(draft, draft.desired.services.get(needed))
        draft.waits[key] = draft.builder.add(
            Action.WAIT_FOR,
            slot.resource,
            f"needed by {', '.join(users)}",
            WaitFor(slot.name, condition, slot.service, users, timeout_s),
            draft.started(slot),
            is_optional=not required,
        )
    return draft.waits[key]


def is_one_shot(draft: Draft, service: DesiredService) -> bool:
    """Whether others wait for the service to have done its work."""
    return any(
        dependency.condition == COMPLETED
        for other in draft.desired.services.values()
        for needed, dependency in other.depends_on.items()
        if needed == service.name
    )


def holds(container: ContainerState | None, condition: str) -> bool:
    """Whether the condition holds already, as far as the snapshot tells."""
    if container is None:
        return False
    match condition:
        case "service_started":
            return container.is_running or container.state == "exited"
        case "service_healthy":
            return container.health == "healthy"
        case "service_completed_successfully":
            return container.state == "exited" and container.exit_code == 0
        case _:
            return container.state == "running" and container.health in ("", "healthy")
