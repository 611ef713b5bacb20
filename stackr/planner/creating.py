"""Containers come, go, and change in place.

A recreated container is created beside the old one, which goes on running until then; after it is
stopped and removed, the new one takes its name. Where the whole change is to be undone if it fails,
the old one is only put aside, and removed at the very end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.builder import Entry
from stackr.planner.draft import Draft
from stackr.planner.hooks import add_stop
from stackr.planner.limits import resources, restart_policy
from stackr.planner.observed import service_of
from stackr.planner.orphans import orphans_warning
from stackr.planner.payloads import (
    ConnectNetwork,
    CreateContainer,
    PullImage,
    RemoveContainer,
    RenameContainer,
    UpdateContainer,
)
from stackr.planner.plan import Action, Change, Kind, Resource
from stackr.planner.slots import Slot, Verdict
from stackr.planner.stopping import stop_slot
from stackr.runtime.limits import RestartPolicy
from stackr.runtime.types import ContainerState

if TYPE_CHECKING:
    from stackr.planner.desired import DesiredService
    from stackr.runtime.container import ContainerConfig

__all__ = [
    "add_create",
    "add_rename",
    "make_way",
    "plan_containers",
    "plan_orphans",
    "pull",
    "temporary_name",
]


def plan_containers(draft: Draft) -> None:
    """Enter all but the starts; an update that starts first has its own way of recreating."""
    from stackr.planner.rolling import add_standbys

    for name, service in draft.desired.services.items():
        if draft.observed.moved:
            pull(draft, service)
        rolled = add_standbys(draft, service) if service.service.deploy is not None else ()
        for slot in draft.slots[name]:
            if slot.name in rolled:
                continue
            match slot.verdict:
                case Verdict.CREATE:
                    draft.change(slot, Kind.CREATE, slot.cause)
                    config = draft.config(service, slot)
                    draft.named[slot.name] = add_create(
                        draft, service, slot, slot.name, config, slot.cause
                    )
                case Verdict.RECREATE:
                    draft.change(slot, Kind.RECREATE, slot.cause)
                    _recreate(draft, service, slot)
                case Verdict.REMOVE:
                    draft.change(slot, Kind.REMOVE, slot.cause)
                    _remove(draft, slot, slot.cause)
                case Verdict.UPDATE:
                    draft.change(slot, Kind.UPDATE, slot.cause)
                    _update(draft, service, slot)
                    _keep(draft, service, slot)
                case Verdict.KEEP:
                    _keep(draft, service, slot)


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
    return entry


def add_rename(
    draft: Draft, slot: Slot, ref: str, cause: str, after: Sequence[Entry] = ()
) -> Entry:
    """Give a container the slot's name."""
    payload = RenameContainer(ref, slot.name)
    entry = draft.builder.add(Action.RENAME_CONTAINER, slot.resource, cause, payload, after)
    draft.takes.append((slot.name, entry))
    return entry


def _recreate(draft: Draft, service: DesiredService, slot: Slot) -> None:
    """Create beside, stop, remove, rename; a container that shares another's namespaces has to
    stop first, since what it shares goes."""
    old = slot.container
    if old is None:
        return
    name = temporary_name(slot, old)
    config = draft.config(service, slot, replaces=old)
    if draft.renewed(old):
        _recreate_after_removal(draft, service, slot, old, config)
        return
    created = add_create(draft, service, slot, name, config, f"recreate: {slot.cause}")
    before = [created]
    stop = draft.stops.get(old.id)
    if stop is not None:
        before.append(stop)
        if draft.can_be_made_beside(service, old):
            draft.builder.order(stop, [created])
    before += draft.networks.detached.get(old.id, ())
    gone = make_way(draft, slot, old, before)
    draft.named[slot.name] = add_rename(draft, slot, name, "takes the place of the old one", [gone])


def _recreate_after_removal(
    draft: Draft, service: DesiredService, slot: Slot, old: ContainerState, config: ContainerConfig
) -> None:
    """The old container holds a volume that is made anew: it goes first."""
    before = [draft.stops[old.id]] if old.id in draft.stops else []
    before += draft.networks.detached.get(old.id, ())
    gone = make_way(draft, slot, old, before)
    for removal in draft.renewed(old):
        draft.builder.order(removal, [gone])
    cause = f"recreate: {slot.cause}"
    created = add_create(draft, service, slot, slot.name, config, cause)
    draft.builder.order(created, [gone])
    draft.named[slot.name] = created


def temporary_name(slot: Slot, old: ContainerState) -> str:
    """What a container is called beside the one that it replaces, as in Docker Compose."""
    name = f"{old.id[:12]}_{slot.name}"
    # The survivor of an interrupted recreation bears this very name.
    return name if old.name != name else f"{old.id[12:24]}_{slot.name}"


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
        Action.RENAME_CONTAINER, resource, "put aside until all is well", aside, before
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


def _pull_image(draft: Draft, service: DesiredService, image: str) -> Entry:
    from stackr.planner.refresh import pull_policy

    policy = pull_policy(service, draft.options)
    if service.is_built and image == service.image:
        raise NotSupported(
            f'service "{service.name}": build: not supported, and there is no image {image}',
            hint=f"build it with another tool, and tag it {image}",
        )
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


def _remove(draft: Draft, slot: Slot, cause: str) -> None:
    container = slot.container
    if container is None:
        return
    if draft.options.atomic:
        _remove_last(draft, slot, container, cause)
        return
    stop_slot(draft, slot, container, cause)
    stop = draft.stops.get(container.id)
    gone = draft.builder.add(
        Action.REMOVE_CONTAINER,
        slot.resource,
        cause,
        RemoveContainer(container.id, volumes=container.is_unfinished),
        [stop] if stop is not None else [],
    )
    draft.leaves[container.name] = gone
    for removal in draft.renewed(container):
        draft.builder.order(removal, [gone])


def _remove_last(draft: Draft, slot: Slot, container: ContainerState, cause: str) -> None:
    """Stop and remove once all else is well; that it fails is then no reason to go back."""
    first: list[Entry] = []
    if container.is_running and container.id not in draft.stops:
        timeout_s = draft.options.timeout_s
        first.append(
            add_stop(draft.builder, container, slot.resource, cause, timeout_s, is_optional=True)
        )
        draft.last += first
    draft.last.append(
        draft.builder.add(
            Action.REMOVE_CONTAINER,
            slot.resource,
            cause,
            RemoveContainer(container.id, volumes=container.is_unfinished),
            first,
            is_optional=True,
        )
    )


def _update(draft: Draft, service: DesiredService, slot: Slot) -> None:
    """Change what can be changed in a container that exists, and what it says it is made of."""
    if slot.container is None:
        return
    is_told = draft.observed.engine.update_labels
    payload = UpdateContainer(
        slot.container.id,
        resources=resources(service.service),
        restart=restart_policy(service.service) or RestartPolicy("no"),
        labels=service.identity if is_told else None,
    )
    draft.builder.add(Action.UPDATE_CONTAINER, slot.resource, slot.cause, payload)


def _keep(draft: Draft, service: DesiredService, slot: Slot) -> None:
    """Name and networks of a container that stays."""
    container = slot.container
    if container is None:
        return
    if container.name != slot.name:
        cause = "an interrupted recreation left another name"
        draft.named[slot.name] = add_rename(draft, slot, container.id, cause)
        draft.leaves[container.name] = draft.named[slot.name]
    for entry in _reconnect(draft, service, slot, container):
        draft.named[slot.name] = entry


def _reconnect(
    draft: Draft, service: DesiredService, slot: Slot, container: ContainerState
) -> Iterator[Entry]:
    off = draft.networks.detached.get(container.id)
    if not off:
        return
    for attachment in draft.config(service, slot).networks:
        if attachment.network in draft.networks.recreated:
            yield draft.builder.add(
                Action.CONNECT_NETWORK,
                slot.resource,
                f"network {attachment.network} is recreated",
                ConnectNetwork(container.id, attachment),
                [draft.networks.ready[attachment.network], *off],
            )


def plan_orphans(draft: Draft) -> None:
    """Containers of services that the stack file does not have: removed, or warned about.

    With them go those of `run` that have ended, about which there is nothing to warn.
    """
    oneoffs = draft.observed.oneoffs
    orphans = [
        container
        for container in draft.observed.containers
        if service_of(container) not in draft.desired.known_services
    ]
    if draft.options.remove_orphans:
        orphans += [container for container in oneoffs if not container.is_running]
    if not orphans:
        return
    if not draft.options.remove_orphans:
        advice = (
            "if their services were removed from the stack file, --remove-orphans cleans them up"
        )
        draft.builder.warnings.append(orphans_warning(orphans, draft.desired.working_dir, advice))
        return
    for container in orphans:
        slot = Slot(service_of(container), 0, container.name, Verdict.REMOVE, "orphan", container)
        why = "it has ended" if container in oneoffs else "its service is not in the stack file"
        draft.change(slot, Kind.REMOVE, f"orphan: {why}")
        _remove(draft, slot, "orphan")
