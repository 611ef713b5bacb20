"""When an image is pulled that is here already: pull policies, and what registries have by now.

`always` pulls before each `up`; `daily`, `weekly` and `every_DURATION` once the image was pulled,
or tagged, so long ago. A plan that is only shown asks the registries instead, and pulls nothing.
Source: Compose Specification, `pull_policy`; Docker Compose, pkg/compose/pull.go (`mustPull`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

from stackr.errors import InvalidArgument, NotFound, NotSupported, StackrError
from stackr.planner.desired.image_build import PlannedBuild
from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.images.building import due_builds, enter_builds
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.builder import Builder
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import PullImage
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ImageState
from stackr.spec.units import NANOSECONDS, parse_duration

__all__ = ["ask_registries", "plan_pull", "plan_refresh", "pull_policy", "repository_of"]

_EVERY = "every_"
_SPANS = {"daily": "1d", "weekly": "1w"}
_PLAIN = {"": "missing", "if_not_present": "missing"}
_MOST_AT_ONCE = 8


def pull_policy(service: DesiredService, options: UpOptions) -> str:
    """always, missing, never, daily, weekly or every_DURATION; `build` is of images that are built.

    Raises NotSupported for `refresh`, InvalidArgument for what is no duration.
    """
    policy: str = options.pull or service.pull_policy
    if policy == "build":
        return "missing"
    if policy == "refresh":
        raise NotSupported(f"services.{service.name}.pull_policy: not supported: {policy}")
    _span_s(service, policy)
    return _PLAIN.get(policy, policy)


def _span_s(service: DesiredService, policy: str) -> float | None:
    """After how many seconds an image is pulled again; None for policies without a time."""
    text = _SPANS.get(policy, policy.removeprefix(_EVERY) if policy.startswith(_EVERY) else "")
    if not text:
        return None
    try:
        return parse_duration(text) / NANOSECONDS["s"]
    except ValueError as error:
        raise InvalidArgument(f"services.{service.name}.pull_policy: {policy}: {error}") from error


def plan_refresh(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """Pull, and build again, the images that this is due for, before it is known what they change.

    Empty for most projects; if not, apply it and observe again before `reconcile`. An image that
    is not here is pulled by `reconcile`, unless it is pulled always.
    """
    options = options or UpOptions()
    due = (
        (service, image, policy)
        for service, image in _images(desired)
        if _is_due(service, observed.images.get(image), observed.at, options)
        for policy in (pull_policy(service, options),)
    )
    pulls = ((s, image, f"pull policy is {policy}") for s, image, policy in due)
    return _pulls(desired, pulls, due_builds(observed))


def _is_due(
    service: DesiredService, image: ImageState | None, now: float, options: UpOptions
) -> bool:
    policy = pull_policy(service, options)
    span_s = _span_s(service, policy)
    if span_s is None or image is None:
        return policy == "always"
    return now > image.tagged + span_s


def plan_pull(desired: Desired, observed: Observed, options: UpOptions | None = None) -> Plan:
    """Pull the image of every service (`stackr pull`), but for those never pulled or built.

    options.pull "missing": only those that are not here.
    """
    options = options or UpOptions()
    wanted = (
        (service, image, "asked for")
        for service, image in _images(desired)
        if service.pull_policy not in ("never", "build")
        and not ("missing" in (options.pull, service.pull_policy) and image in observed.images)
    )
    return _pulls(desired, wanted)


def _images(desired: Desired) -> Iterator[tuple[DesiredService, str]]:
    """Each image that a service needs, but for one that is built."""
    for service in desired.services.values():
        for image in service.images:
            if not (service.is_built and image == service.image):
                yield service, image


def _pulls(
    desired: Desired,
    images: Iterator[tuple[DesiredService, str, str]],
    builds: Mapping[str, PlannedBuild] | None = None,
) -> Plan:
    """images: each with a service that needs it, and why it is pulled."""
    builder = Builder(desired.project)
    by_image: dict[tuple[str, str], list[str]] = {}
    causes: dict[tuple[str, str], str] = {}
    for service, image, cause in images:
        by_image.setdefault((image, service.platform), []).append(service.name)
        causes.setdefault((image, service.platform), cause)
    for (image, platform), users in sorted(by_image.items()):
        resource, cause = Resource("image", image), causes[image, platform]
        builder.changes.append(Change(resource, Kind.PULL, cause))
        payload = PullImage(image, platform, tuple(sorted(users)))
        builder.add(Action.PULL_IMAGE, resource, cause, payload)
    enter_builds(builder, (builds or {}).values())
    return builder.plan()


async def ask_registries(
    runtime: Runtime, desired: Desired, observed: Observed, options: UpOptions
) -> Observed:
    """`observed`, with the images whose pull is due as they will be after it; nothing is pulled.

    What a registry has and the engine does not is in `moved`. Raises StackrError, by the image's
    name, where a registry cannot be asked: `up` could not pull from it either.
    """
    due = {
        image
        for service, image in _images(desired)
        if image in observed.images
        and "@" not in image
        and _is_due(service, observed.images[image], observed.at, options)
    }
    free = asyncio.Semaphore(_MOST_AT_ONCE)

    async def ask(image: str) -> tuple[str, str, ImageState | None]:
        async with free:
            digest = await _digest(runtime, image)
            return image, digest, await _known(runtime, image, digest, observed.images[image])

    answers = await asyncio.gather(*map(ask, sorted(due)))
    return replace(
        observed,
        images={**observed.images, **{image: state for image, _, state in answers if state}},
        moved={image: digest for image, digest, state in answers if state is None},
    )


async def _digest(runtime: Runtime, image: str) -> str:
    try:
        return await runtime.resolve_image(image)
    except StackrError as error:
        raise type(error)(
            f"image {image}: cannot ask its registry: {error.message}",
            hint=error.hint or "with --pull missing, what is here counts",
        ) from error


async def _known(runtime: Runtime, image: str, digest: str, here: ImageState) -> ImageState | None:
    """The image of this digest, if the engine has it."""
    if any(each.endswith(f"@{digest}") for each in here.digests):
        return here
    try:
        return await runtime.inspect_image(f"{repository_of(image)}@{digest}")
    except NotFound:
        return None


def repository_of(image: str) -> str:
    """A reference without its tag."""
    name, colon, tag = image.rpartition(":")
    return name if colon and "/" not in tag else image
