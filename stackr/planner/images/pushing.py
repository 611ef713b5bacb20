"""Which images are pushed (`stackr push`), and under which names.

An image that is built, under the name that the stack file gives it and its further tags. One that
is not built only where the engine has it under that name from elsewhere: committed, loaded or
tagged here; one that came from the registry, or is not here, is left out unless it was asked for.
Source: Docker Compose, pkg/compose/push.go, which leaves out what is not built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.images.refresh import repository_of
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.builder import Builder
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.payloads import PushImage

__all__ = ["not_pushed", "plan_push"]


def plan_push(desired: Desired, observed: Observed, asked_for: Collection[str]) -> Plan:
    """asked_for: the services that were named; each image is pushed once."""
    users: dict[str, set[str]] = {}
    for service in desired.services.values():
        for image in _pushed(service, observed, is_named=service.name in asked_for):
            users.setdefault(image, set()).add(service.name)
    builder = Builder(desired.project)
    for image, services in sorted(users.items()):
        resource = Resource("image", image)
        builder.changes.append(Change(resource, Kind.PUSH, "asked for"))
        payload = PushImage(image, tuple(sorted(services)))
        builder.add(Action.PUSH_IMAGE, resource, "asked for", payload)
    return builder.plan()


def not_pushed(desired: Desired, plan: Plan) -> list[str]:
    """The services that a plan of `plan_push` has nothing of."""
    pushed = {
        service
        for operation in plan.operations
        if isinstance(operation.payload, PushImage)
        for service in operation.payload.services
    }
    return sorted(set(desired.services) - pushed)


def _pushed(service: DesiredService, observed: Observed, *, is_named: bool) -> Iterator[str]:
    if not service.service.image:
        return  # it has a name of this project alone
    if service.is_built:
        yield service.image
        yield from service.service.build.tags if service.service.build else ()
    elif is_named or _is_from_here(service.image, observed):
        yield service.image


def _is_from_here(image: str, observed: Observed) -> bool:
    state = observed.images.get(image)
    repository = _familiar(repository_of(image))
    return state is not None and all(
        _familiar(digest.partition("@")[0]) != repository for digest in state.digests
    )


def _familiar(repository: str) -> str:
    """As engines write it."""
    return repository.removeprefix("docker.io/").removeprefix("library/")
