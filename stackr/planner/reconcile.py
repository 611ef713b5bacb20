"""What should be and what is, to a plan. Pure: no I/O, no clock, no chance.

First it is decided what becomes of every container (`slots`), then the operations are entered:
stops, networks, volumes, containers, orphans, starts, waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stackr.planner.builder import Builder
from stackr.planner.containers import Containers, pull_policy
from stackr.planner.networks import diverged_networks, plan_networks
from stackr.planner.observed import Observed
from stackr.planner.options import UpOptions
from stackr.planner.plan import Action, Change, Kind, Plan, PullImage, Resource
from stackr.planner.slots import decide
from stackr.planner.volumes import plan_volumes

if TYPE_CHECKING:
    from stackr.planner.desired import Desired, DesiredService

__all__ = ["plan_pull", "plan_refresh", "reconcile"]


def reconcile(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """The plan that makes `observed` become `desired`; empty if it is so already.

    Images that are missing are pulled by the plan. Those with the policy `always` are pulled by
    `plan_refresh`, which is applied, and observed again, before this.
    Raises NotFound for external networks and volumes that are not there, InvalidArgument for an
    image that is not here and may not be pulled, NotSupported for one that must be built.
    """
    options = options or UpOptions()
    builder = Builder(desired.project)
    builder.warnings.extend(desired.warnings)
    slots = decide(desired, observed, options)
    diverged = diverged_networks(desired, observed)
    containers = Containers(builder, desired, observed, options, slots)
    containers.plan_stops(diverged)
    containers.networks = plan_networks(builder, desired, observed, diverged, containers.stops)
    containers.volumes = plan_volumes(builder, desired, observed)
    containers.plan_containers()
    containers.plan_orphans()
    containers.plan_starts()
    if options.wait and options.start:
        containers.plan_waits()
    places = {name: place for place, name in enumerate(desired.services)}
    builder.changes.sort(key=lambda change: _place(change.resource, places))
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
