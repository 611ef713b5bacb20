"""What has to stop: what is recreated, restarted, or sits in a network that is made anew.

Who shares a namespace with a container that starts anew starts anew after it: the namespace is
gone with the processes that were in it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.change.targets import Target, is_severed, stale_references, target_of
from stackr.planner.desired.project import DesiredService
from stackr.planner.desired.references import Reference, joined
from stackr.planner.plan.model import Origin
from stackr.planner.steps.draft import Draft, Restart
from stackr.planner.steps.hooks import add_stop
from stackr.runtime.types import ContainerState

__all__ = ["plan_stops", "stop_slot"]


def plan_stops(draft: Draft, network_changes: Mapping[str, object]) -> None:
    """Dependants stop before what they depend on."""
    for slot in draft.all_slots():
        container = slot.container
        if container is None:
            continue
        if slot.verdict is Verdict.RECREATE:
            stop_slot(draft, slot, container, slot.cause)
        elif slot.kept is not None:
            joined_networks = [endpoint.network for endpoint in container.networks]
            changed = [network for network in joined_networks if network in network_changes]
            if changed:
                stop_slot(draft, slot, container, f"network {changed[0]} is recreated")
    _stop_dependants(draft)
    if draft.options.start:
        _stop_sharers(draft)


def _stop_dependants(draft: Draft) -> None:
    """`depends_on: {restart: true}`: whoever depends on what is recreated stops before it."""
    for name, service in draft.desired.services.items():
        for needed, dependency in service.depends_on.items():
            if not dependency.restart or not draft.is_recreated(needed):
                continue
            for slot in draft.slots[name]:
                container = slot.container
                if container is None or not container.is_running:
                    continue
                stop_slot(draft, slot, container, f'depends on "{needed}", which is recreated')
                restart = Restart(f'"{needed}" is recreated', (needed,))
                draft.restarts.setdefault(container.id, restart)
                _order_before(draft, container, draft.slots[needed])


def _stop_sharers(draft: Draft) -> None:
    """In dependency order, so that one restart leads to the next."""
    for service in draft.desired.services.values():
        if not service.references:
            continue
        for slot in draft.slots[service.name]:
            container = slot.kept
            if container is not None and container.state in ("running", "paused"):
                _stop_sharer(draft, service, slot, container)


def _stop_sharer(
    draft: Draft, service: DesiredService, slot: Slot, container: ContainerState
) -> None:
    for reference in joined(service.references):
        target = target_of(reference, draft.slots, draft.observed)
        if target is None:
            _warn_missing(draft, service.name, reference)
        if target is None or target.state is None:
            continue
        if stale_references({reference: target}, container):
            continue  # it is not to be recreated, and cannot be started: its own target is gone
        restart = _why_restart(draft, reference.name, container, target, target.state)
        if restart is None:
            continue
        stop_slot(draft, slot, container, restart.cause)
        draft.restarts.setdefault(container.id, restart)
        _order_before(draft, container, [target.slot] if target.slot else [])


def _warn_missing(draft: Draft, service: str, reference: Reference) -> None:
    draft.builder.warnings.append(
        f'service "{service}": {reference.path}: container {reference.name} is not there'
    )


def _why_restart(
    draft: Draft, name: str, container: ContainerState, target: Target, state: ContainerState
) -> Restart | None:
    """Why a container that shares the target's namespace has to be started again."""
    if state.id in draft.stops:
        return Restart(f'shares a namespace with "{name}", which is restarted', (name,))
    if not state.is_running:
        if target.slot is None:
            draft.builder.warnings.append(
                f"container {container.name} shares a namespace with container {state.name},"
                " which does not run"
            )
            return None
        return Restart(f'shares a namespace with "{name}", which is started', (name,), Origin.DRIFT)
    if is_severed(container, state):
        return Restart(f'"{name}" has restarted since: its namespace is gone', (), Origin.DRIFT)
    return None


def _order_before(draft: Draft, container: ContainerState, slots: list[Slot]) -> None:
    for slot in slots:
        if slot.container is not None and slot.container.id in draft.stops:
            stop = draft.stops[container.id]
            draft.builder.order(draft.stops[slot.container.id], [stop])
            draft.stops_before.setdefault(slot.container.id, []).append(stop)


def stop_slot(draft: Draft, slot: Slot, container: ContainerState, cause: str) -> None:
    """Stop the slot's container, once; nothing where it does not run."""
    if container.id in draft.stops or not container.is_running:
        return
    resource = replace(slot.resource, name=container.name)
    draft.stops[container.id] = add_stop(
        draft.builder, container, resource, cause, draft.options.timeout_s
    )
