"""Before a service's containers start: what they depend on is ready, and `pre_start` is done."""

from __future__ import annotations

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.init_steps import Surroundings
from stackr.planner.desired.project import DesiredService
from stackr.planner.plan.builder import Entry
from stackr.planner.steps.draft import Draft
from stackr.planner.steps.init_steps import InitSteps, Site, has_begun
from stackr.planner.steps.readiness import conditions
from stackr.planner.steps.rolling import rolled

__all__ = ["needed_by", "prepare"]


def needed_by(draft: Draft, service: DesiredService) -> list[Entry]:
    """What a start of the service follows: its dependencies, and whose namespaces it shares."""
    after: list[Entry] = []
    for needed in service.depends_on:
        after += conditions(draft, service, needed)
    for shared in service.shares:
        after += [entry for other in draft.slots.get(shared, ()) for entry in draft.started(other)]
    return after


def prepare(draft: Draft, service: DesiredService) -> InitSteps | None:
    """Enter the steps that the starts of the service's containers follow; None where it has none.

    Those that are replaced one after the other stop after them, too, so that a step that fails
    takes nothing away; any other old container has made way before.
    """
    found = draft.observed.steps_of((service.name,))
    if not draft.options.start or not (service.service.pre_start or found):
        return None
    slots = [slot for slot in draft.slots[service.name] if slot.verdict is not Verdict.REMOVE]
    fresh = [slot for slot in slots if slot.kept is None or not has_begun(slot.kept)]
    beside = {slot.name for slot in rolled(draft, service)} if service.service.deploy else set()
    sites = [_site(draft, service, slot, is_beside=slot.name in beside) for slot in fresh]
    steps = InitSteps(
        draft.builder,
        draft.desired.project,
        service.name,
        service.spec,
        found,
        draft.options.wait_timeout_s,
    )
    steps.enter(sites, once=len(fresh) == len(slots))
    draft.prepared.update({site.name: site.after for site in sites})
    return steps


def _site(draft: Draft, service: DesiredService, slot: Slot, *, is_beside: bool) -> Site:
    """is_beside: it is to start, or at least is made, while the old one runs."""
    config = draft.config(service, slot)
    around = Surroundings(
        config.labels,
        config.network_mode,
        tuple(each.network for each in config.networks),
        config.files,
        config.platform,
    )
    site = Site(slot.name, slot.number, slot.name, around, after=needed_by(draft, service))
    if slot.kept is not None:
        site.ref = site.id = slot.kept.id
    if is_beside:
        site.ref, entry = draft.created[slot.name]
        site.after.append(entry)
    elif slot.name in draft.named:
        site.after.append(draft.named[slot.name])
    return site
