"""What becomes of each container, all but the starts."""

from __future__ import annotations

from collections.abc import Iterator

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.limits import resources, restart_policy
from stackr.planner.desired.project import DesiredService
from stackr.planner.observe.observed import other_stack_of, resource_of, service_of
from stackr.planner.observe.orphans import ORPHANS_ADVICE, orphans_warning
from stackr.planner.plan.builder import Entry
from stackr.planner.plan.model import Action, Change, Kind
from stackr.planner.plan.payloads import (
    ConnectNetwork,
    RemoveContainer,
    UpdateContainer,
)
from stackr.planner.steps.creating import add_create, add_rename, make_way, pull, temporary_name
from stackr.planner.steps.draft import Draft
from stackr.planner.steps.hooks import add_stop
from stackr.planner.steps.init_steps import remove_steps
from stackr.planner.steps.rolling import add_standbys
from stackr.planner.steps.stopping import stop_slot
from stackr.runtime.container import ContainerConfig
from stackr.runtime.limits import RestartPolicy
from stackr.runtime.types import ContainerState

__all__ = ["plan_containers", "plan_orphans"]


def plan_containers(draft: Draft) -> None:
    """Enter all but the starts; an update that starts first has its own way of recreating."""
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


def _recreate(draft: Draft, service: DesiredService, slot: Slot) -> None:
    """Create beside, stop, remove, rename; a container that shares another's namespaces has to
    stop first, since what it shares goes."""
    old = slot.container
    if old is None:
        return
    name = temporary_name(draft, slot, old)
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


def _remove(draft: Draft, slot: Slot, cause: str) -> None:
    container = slot.container
    if container is None:
        return
    if draft.options.atomic and not container.is_unfinished:
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


def _left(draft: Draft, container: ContainerState) -> Change:
    """An orphan that stays. Another stack's is none to remove: nothing is said of that."""
    other = other_stack_of(container, draft.desired.working_dir)
    stays = f"made from {other}; it stays" if other else "stays; --remove-orphans removes it"
    return Change(resource_of(container), Kind.ORPHAN, stays)


def _update(draft: Draft, service: DesiredService, slot: Slot) -> None:
    """Change what can be changed in a container that exists, and what it says it is made of."""
    if slot.container is None:
        return
    is_told, there = draft.observed.engine.update_labels, slot.container.labels
    orders = {key: value for key, value in service.orders.items() if there.get(key) != value}
    payload = UpdateContainer(
        slot.container.id,
        resources=resources(service.service),
        restart=restart_policy(service.service) or RestartPolicy("no"),
        labels={**service.identity, **orders} if is_told else None,
    )
    draft.builder.add(Action.UPDATE_CONTAINER, slot.resource, slot.cause, payload)


def _keep(draft: Draft, service: DesiredService, slot: Slot) -> None:
    """Name and networks of a container that stays."""
    container = slot.container
    if container is None:
        return
    if slot.is_renamed:
        cause = f"it is called {container.name}"
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
    if draft.options.remove_orphans:
        known = draft.desired.known_services
        steps = [each for each in draft.observed.steps if service_of(each) not in known]
        remove_steps(draft.builder, steps, "orphan: its service is not in the stack file")
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
        warning = orphans_warning(orphans, draft.desired.working_dir, ORPHANS_ADVICE)
        draft.builder.warnings.append(warning)
        draft.builder.changes += (_left(draft, container) for container in orphans)
        return
    for container in orphans:
        slot = Slot(service_of(container), 0, container.name, Verdict.REMOVE, "orphan", container)
        why = "it has ended" if container in oneoffs else "its service is not in the stack file"
        draft.change(slot, Kind.REMOVE, f"orphan: {why}")
        _remove(draft, slot, "orphan")
