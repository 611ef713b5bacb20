"""Containers come, go, and change in place.

A recreated container is created beside the old one, which goes on running until then; after it is
stopped and removed, the new one takes its name. Where the whole change is to be undone if it fails,
the old one is only put aside, and removed at the very end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stackr.errors import InvalidArgument
from stackr.planner.change.slot import Slot
from stackr.planner.desired.project import DesiredService
from stackr.planner.images.building import add_build
from stackr.planner.images.refresh import pull_policy
from stackr.planner.plan.builder import Entry
from stackr.planner.plan.model import Action, Change, Kind, Resource
from stackr.planner.plan.payloads import (
    CreateContainer,
    PullImage,
    RemoveContainer,
    RenameContainer,
)
from stackr.planner.steps.draft import Draft
from stackr.runtime.container import ContainerConfig
from stackr.runtime.types import ContainerState

__all__ = [
    "add_create",
    "add_rename",
    "make_way",
    "pull",
    "temporary_name",
]


def add_create(
    draft: Draft,
    service: DesiredService,
    slot: Slot,
    name: str,
    config: ContainerConfig,
    cause: str,
) -> Entry:
    """Create a container under a name, once all that it is made of is there."""
    after = [draft.networks.ready[n] for n in service.networks if n in draft.networks.ready]
    after += [draft.volumes.ready[v] for v in service.volumes if v in draft.volumes.ready]
    after += pull(draft, service)
    linked = (link.partition(":")[0] for link in service.service.links)
    payload = CreateContainer(name, config)
    entry = draft.builder.add(Action.CREATE_CONTAINER, slot.resource, cause, payload, after)
    draft.refers += [(entry, other) for other in (*service.shares, *linked)]
    draft.takes.append((name, entry))
    draft.created[slot.name] = (name, entry)
    return entry


def add_rename(
    draft: Draft, slot: Slot, ref: str, cause: str, after: Sequence[Entry] = ()
) -> Entry:
    """Give a container the slot's name."""
    payload = RenameContainer(ref, slot.name)
    entry = draft.builder.add(Action.RENAME_CONTAINER, slot.resource, cause, payload, after)
    draft.takes.append((slot.name, entry))
    return entry


def temporary_name(draft: Draft, slot: Slot, old: ContainerState) -> str:
    """What a container is called beside the one that it replaces, as in Docker Compose.

    What an interrupted recreation has left may bear this very name, and stay to the end.
    """
    taken = {container.name for container in draft.observed.containers}
    names = (f"{old.id[at : at + 12]}_{slot.name}" for at in range(len(old.id)))
    return next(name for name in names if name not in taken)


def make_way(draft: Draft, slot: Slot, old: ContainerState, before: Sequence[Entry]) -> Entry:
    """Remove the old container, or put it aside; after this entry its name is free."""
    resource = replace(slot.resource, name=old.name)
    removal = RemoveContainer(old.id, volumes=draft.options.renew_anonymous_volumes)
    if not draft.options.atomic:
        entry = draft.builder.add(Action.REMOVE_CONTAINER, resource, "replaced", removal, before)
        draft.leaves[old.name] = entry
        draft.replaced.append((old, entry))
        return entry
    aside = RenameContainer(old.id, f"{old.name}-{old.id[:12]}-replaced")
    entry = draft.builder.add(
        Action.RENAME_CONTAINER, resource, "put aside until everything is ready", aside, before
    )
    draft.leaves[old.name] = entry
    removed = draft.builder.add(
        Action.REMOVE_CONTAINER, resource, "replaced", removal, [entry], is_optional=True
    )
    draft.last.append(removed)
    draft.replaced.append((old, removed))
    return entry


def pull(draft: Draft, service: DesiredService) -> list[Entry]:
    """What follows when the service's images are here; nothing where they are already.

    An image that its registry has anew by now is pulled again.
    """
    here, moved = draft.observed.images, draft.observed.moved
    wanted = [image for image in service.images if image not in here or image in moved]
    return [_pull_image(draft, service, image) for image in wanted]


def _is_pulled(draft: Draft, service: DesiredService, policy: str) -> bool:
    """An image that could be built is pulled where it has a name, and nothing may be built."""
    return draft.options.build == "never" and bool(service.service.image) and policy != "never"


def _pull_image(draft: Draft, service: DesiredService, image: str) -> Entry:
    policy = pull_policy(service, draft.options)
    is_own = service.is_built and image == service.image
    if is_own and not _is_pulled(draft, service, policy):
        return add_build(draft.builder, draft.pulls, service, draft.observed, draft.options)
    if policy == "never":
        raise InvalidArgument(
            f'service "{service.name}": image {image} is not here, and its pull policy is never'
        )
    key = (image, service.platform)
    if key not in draft.pulls:
        resource = Resource("image", image)
        users = tuple(
            other.name
            for other in draft.desired.services.values()
            if image in other.images and other.platform == service.platform
        )
        cause = "its registry has another one" if image in draft.observed.moved else "not found"
        draft.builder.changes.append(Change(resource, Kind.PULL, cause))
        payload = PullImage(image, service.platform, users)
        draft.pulls[key] = draft.builder.add(Action.PULL_IMAGE, resource, cause, payload)
    return draft.pulls[key]
