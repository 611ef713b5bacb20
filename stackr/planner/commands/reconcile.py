"""What should be and what is, to a plan. Pure: no I/O, no clock, no chance.

First it is decided what becomes of every container (`slots`), then the operations are entered:
stops, networks, volumes, containers, orphans, starts, waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackr.planner.change.risk import risks
from stackr.planner.change.slots import decide
from stackr.planner.desired.probe import check_probes, probe_of
from stackr.planner.desired.project import Desired
from stackr.planner.desired.restart_unhealthy import check_restarts, restarts_unhealthy
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.builder import Builder
from stackr.planner.plan.model import Plan, Resource
from stackr.planner.plan.options import UpOptions
from stackr.planner.steps.containers import plan_containers, plan_orphans
from stackr.planner.steps.draft import Draft
from stackr.planner.steps.networks import diverged_networks, plan_networks
from stackr.planner.steps.outlook import stages, with_outlook
from stackr.planner.steps.starting import plan_last, plan_starts, plan_waits
from stackr.planner.steps.stopping import plan_stops
from stackr.planner.steps.volumes import plan_volumes, renewed_volumes

__all__ = ["reconcile"]


def reconcile(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """The plan that makes `observed` become `desired`; empty if it is so already.

    Images that are missing are pulled by the plan. Those that are here and whose pull is due are
    pulled by `refresh.plan_refresh`, which is applied, and observed again, before this.
    Raises NotFound for external networks and volumes that are not there, InvalidArgument for an
    image that is not here and may not be pulled, NotSupported for one that must be built, and for
    a probe that the engine cannot make, or a restart that it does not do; Conflict for a volume
    that is to be made anew and that others use.
    """
    options = options or UpOptions()
    builder = Builder(desired.project)
    builder.warnings.extend(desired.warnings)
    services = {name: each.service for name, each in desired.services.items()}
    check_probes([n for n, each in services.items() if probe_of(each)], observed.engine)
    check_restarts([n for n, each in services.items() if restarts_unhealthy(each)], observed.engine)
    renewed = renewed_volumes(desired, observed, options)
    slots = decide(desired, observed, options, renewed)
    diverged = diverged_networks(desired, observed)
    draft = Draft(builder, desired, observed, options, slots)
    plan_stops(draft, diverged)
    draft.networks = plan_networks(builder, desired, observed, diverged, draft.stops)
    draft.volumes = plan_volumes(builder, desired, observed, renewed)
    plan_containers(draft)
    plan_orphans(draft)
    plan_starts(draft)
    if options.start and (options.wait or options.atomic):
        plan_waits(draft)
    plan_last(draft)
    places = {name: place for place, name in enumerate(desired.services)}
    builder.changes.sort(key=lambda change: _place(change.resource, places))
    if builder.changes:
        builder.changes = with_outlook(draft, builder.changes)
        builder.risks = risks(builder.changes, desired, observed, desired.policy)
    plan = builder.plan()
    return replace(plan, order=stages(plan.operations))


_KINDS = ("network", "volume", "image", "container")


def _place(resource: Resource, places: Mapping[str, int]) -> tuple[int, int, str, int]:
    """What containers need comes before them; services come in dependency order, orphans last."""
    place = places.get(resource.service, len(places))
    return _KINDS.index(resource.kind), place, resource.service, resource.number
