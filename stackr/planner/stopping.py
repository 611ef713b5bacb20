"""What has to stop: what is recreated, restarted, or sits in a network that is made anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackr.planner.draft import Draft
from stackr.planner.hooks import add_stop
from stackr.planner.slots import Slot, Verdict
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
        elif slot.verdict in (Verdict.KEEP, Verdict.UPDATE):
            joined = [endpoint.network for endpoint in container.networks]
            changed = [network for network in joined if network in network_changes]
            if changed:
                stop_slot(draft, slot, container, f"network {changed[0]} is recreated")
    _stop_dependants(draft)


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
                draft.stop_causes.setdefault(container.id, (needed,))
                _order_before(draft, container, needed)


def _order_before(draft: Draft, container: ContainerState, needed: str) -> None:
    for slot in draft.slots[needed]:
        if slot.container is not None and slot.container.id in draft.stops:
            draft.builder.order(draft.stops[slot.container.id], [draft.stops[container.id]])


def stop_slot(draft: Draft, slot: Slot, container: ContainerState, cause: str) -> None:
    """Stop the slot's container, once; nothing where it does not run."""
    if container.id in draft.stops or not container.is_running:
        return
    resource = replace(slot.resource, name=container.name)
    draft.stops[container.id] = add_stop(
        draft.builder, container, resource, cause, draft.options.timeout_s
    )
