"""What should be and what is, to a plan. Pure: no I/O, no clock, no chance.

First it is decided what becomes of every container (`slots`), then the operations are entered:
stops, networks, volumes, containers, orphans, starts, waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stackr.planner.builder import Builder
from stackr.planner.creating import plan_containers, plan_orphans, pull_policy
from stackr.planner.draft import Draft
from stackr.planner.networks import diverged_networks, plan_networks
from stackr.planner.observed import Observed
from stackr.planner.options import UpOptions
from stackr.planner.payloads import PullImage
from stackr.planner.plan import Action, Change, Kind, Plan, Resource
from stackr.planner.probe import check_probes, probe_of
from stackr.planner.slots import decide
from stackr.planner.starting import plan_last, plan_starts, plan_waits
from stackr.planner.stopping import plan_stops
from stackr.planner.volumes import plan_volumes

if TYPE_CHECKING:
    from stackr.planner.desired import Desired, DesiredService

__all__ = ["plan_pull", "plan_refresh", "reconcile"]


def reconcile(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """The plan that makes `observed` become `desired`; empty if it is so already.

    Images that are missing are pulled by the plan. Those with the policy `always` are pulled by
    `plan_refresh`, which is applied, and observed again, before this.
    Raises NotFound for external networks and volumes that are not there, InvalidArgument for an
    image that is not here and may not be pulled, NotSupported for one that must be built, and for
    a probe that the engine cannot make.
    """
    options = options or UpOptions()
    builder = Builder(desired.project)
    builder.warnings.extend(desired.warnings)
    probed = [name for name, each in desired.services.items() if probe_of(each.service)]
    check_probes(probed, observed.engine)
    slots = decide(desired, observed, options)
    diverged = diverged_networks(desired, observed)
    draft = Draft(builder, desired, observed, options, slots)
    plan_stops(draft, diverged)
    draft.networks = plan_networks(builder, desired, observed, diverged, draft.stops)
    draft.volumes = plan_volumes(builder, desired, observed)
    plan_containers(draft)
    plan_orphans(draft)
    plan_starts(draft)
    if options.start and (options.wait or options.atomic):
        plan_waits(draft)
    plan_last(draft)
    places = {name: place for place, name in enumerate(desired.services)}
    builder.changes.sort(key=lambda change: _place(change.resource, places))
    if builder.changes:
        from stackr.planner.risk import risks

        builder.risks = risks(builder.changes, desired, observed, desired.policy)
    return builder.plan()


_KINDS = ("network", "volume", "image", "container")


def _place(resource: Resource, places: Mapping[str, int]) -> tuple[int, int, str, int]:
    """What containers need comes before them; services come in dependency order, orphans last."""
    place = places.get(resource.service, len(places))
    return _KINDS.index(resource.kind), place, resource.service, resource.number


def plan_refresh(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """Pull the images that are pulled always, before it is known what they change.

    Empty for most projects; if not, apply it and observe again before `reconcile`.
    """
    options = options or UpOptions()
    wanted = [
        (service, image)
        for service, image in _images(desired)
        if pull_policy(service, options) == "always"
    ]
    return _pulls(desired, wanted, "pull policy is always")


def plan_pull(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """Pull the image of every service (`stackr pull`), but for those never pulled or built.

    options.pull "missing": only those that are not here.
    """
    options = options or UpOptions()
    wanted = [
        (service, image)
        for service, image in _images(desired)
        if service.pull_policy not in ("never", "build")
        and not ("missing" in (options.pull, service.pull_policy) and image in observed.images)
    ]
    return _pulls(desired, wanted, "asked for")


def _images(desired: Desired) -> Iterator[tuple[DesiredService, str]]:
    """Each image that a service needs, but for one that is built."""
    for service in desired.services.values():
        for image in service.images:
            if not (service.is_built and image == service.image):
                yield service, image


def _pulls(desired: Desired, images: list[tuple[DesiredService, str]], cause: str) -> Plan:
    builder = Builder(desired.project)
    by_image: dict[tuple[str, str], list[str]] = {}
    for service, image in images:
        by_image.setdefault((image, service.platform), []).append(service.name)
    for (image, platform), users in sorted(by_image.items()):
        resource = Resource("image", image)
        builder.changes.append(Change(resource, Kind.PULL, cause))
        payload = PullImage(image, platform, tuple(sorted(users)))
        builder.add(Action.PULL_IMAGE, resource, cause, payload)
    return builder.plan()
