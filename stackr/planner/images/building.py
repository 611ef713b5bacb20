"""Images are built before the containers that use them, each after those that it is built from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stackr.errors import InvalidArgument, NotFound
from stackr.planner.desired.image_build import PlannedBuild
from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import BuildImage, PullImage

__all__ = ["add_build", "built", "due_builds", "enter_builds", "plan_bases", "plan_builds"]

NOT_HERE = "not built yet"


def add_build(
    builder: Builder,
    entries: dict[tuple[str, str], Entry],
    service: DesiredService,
    observed: Observed,
    options: UpOptions,
) -> Entry:
    """Enter the build of a service's image, and before it of what it is built from.

    Raises InvalidArgument where nothing may be built.
    """
    if options.build == "never":
        raise InvalidArgument(
            f'service "{service.name}": image {service.image} is not here, and nothing is built',
            hint="leave --no-build out, or build it: stackr build",
        )
    if service.image not in observed.builds:
        raise NotFound(
            f'service "{service.name}": image {service.image} is not built yet',
            hint="build it: stackr build",
        )
    return _enter(builder, entries, service.image, observed)


def _enter(
    builder: Builder, entries: dict[tuple[str, str], Entry], image: str, observed: Observed
) -> Entry:
    key = (image, "")
    if key not in entries:
        planned = observed.builds[image]
        after = [
            _enter(builder, entries, each, observed)
            for each in planned.after
            if each in observed.builds and _is_wanted(each, observed)
        ]
        after += [_pull_base(builder, entries, each, planned) for each in planned.pulls]
        entries[key] = _add(builder, planned, after)
    return entries[key]


def _pull_base(
    builder: Builder, entries: dict[tuple[str, str], Entry], image: str, planned: PlannedBuild
) -> Entry:
    key = (image, planned.build.platform)
    if key not in entries:
        resource, cause = Resource("image", image), f"{planned.image} is built on it"
        builder.changes.append(Change(resource, Kind.PULL, cause))
        payload = PullImage(image, planned.build.platform, planned.services)
        entries[key] = builder.add(Action.PULL_IMAGE, resource, cause, payload)
    return entries[key]


def _add(builder: Builder, planned: PlannedBuild, after: Iterable[Entry]) -> Entry:
    resource, cause = Resource("image", planned.image), planned.cause or NOT_HERE
    fields = tuple(replace(field, forces_recreate=False) for field in planned.fields)
    builder.changes.append(Change(resource, Kind.BUILD, cause, fields))
    payload = BuildImage(planned.build, planned.services)
    return builder.add(Action.BUILD_IMAGE, resource, cause, payload, after)


def _is_wanted(image: str, observed: Observed) -> bool:
    return image not in observed.images or image in observed.moved


def due_builds(observed: Observed) -> dict[str, PlannedBuild]:
    """Of images that are here, those that are to be built again."""
    return {
        image: planned
        for image, planned in observed.builds.items()
        if planned.cause and image in observed.images
    }


def plan_builds(desired: Desired, builds: Iterable[PlannedBuild]) -> Plan:
    """Build these images, and nothing else (`stackr build`)."""
    builder = Builder(desired.project)
    enter_builds(builder, builds)
    return builder.plan()


def plan_bases(desired: Desired, observed: Observed) -> Plan:
    """Pull what will be built on before it is recorded, with `build.pull` what is here as well."""
    builder = Builder(desired.project)
    entries: dict[tuple[str, str], Entry] = {}
    for image, planned in observed.builds.items():
        if not planned.cause and image in observed.images:
            continue
        for base in planned.bases if planned.build.pull else planned.pulls:
            _pull_base(builder, entries, base, planned)
    return builder.plan()


def enter_builds(builder: Builder, builds: Iterable[PlannedBuild]) -> None:
    """builds: each after those that it is built from."""
    entries: dict[str, Entry] = {}
    for planned in builds:
        after = [entries[each] for each in planned.after if each in entries]
        entries[planned.image] = _add(builder, planned, after)


def built(observed: Observed) -> Observed:
    """As it will be, for a plan that is only shown: images that are due are other ones by then."""
    due = due_builds(observed)
    if not due:
        return observed
    return replace(observed, moved={**observed.moved, **dict.fromkeys(due, "")})
