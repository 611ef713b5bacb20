"""Containers start, in the order of `depends_on` and its conditions, and become ready."""

from __future__ import annotations

from dataclasses import replace

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.config_hash import sparse
from stackr.planner.desired.project import DesiredService
from stackr.planner.plan.builder import Entry
from stackr.planner.plan.model import Action, Kind, Origin, Resource
from stackr.planner.plan.payloads import Commit, UnpauseContainer, WaitFor
from stackr.planner.steps.anonymous import remove_leftovers
from stackr.planner.steps.draft import Draft, Restart
from stackr.planner.steps.hooks import add_start
from stackr.planner.steps.preparing import needed_by, prepare
from stackr.planner.steps.readiness import condition_of, holds, is_one_shot, wait_timeout_s
from stackr.planner.steps.rolling import plan_updates
from stackr.runtime.types import ContainerState
from stackr.text import whole_number

__all__ = ["plan_last", "plan_starts", "plan_waits"]

_MOST_PORT = 65535


def plan_starts(draft: Draft) -> None:
    """Enter the starts; those of an update go batch by batch."""
    for name, service in draft.desired.services.items():
        steps = prepare(draft, service)
        rolled = plan_updates(draft, service) if service.service.deploy is not None else ()
        for slot in draft.slots[name]:
            if slot.verdict is not Verdict.REMOVE and slot.name not in rolled:
                _start(draft, service, slot)
        if steps is not None:
            steps.remove_after(draft.starts)
    _free_host_ports(draft)
    _free_names(draft)
    _settle_names(draft)


def _start(draft: Draft, service: DesiredService, slot: Slot) -> None:
    is_kept = slot.verdict in (Verdict.KEEP, Verdict.UPDATE)
    container = slot.container if is_kept else None
    cause = "created" if container is None else _why_start(draft, service, container)
    if container is not None:
        _tell_kept(draft, slot, container, cause)
    if not cause or not draft.options.start:
        return
    after = [draft.named[slot.name]] if slot.name in draft.named else []
    if container is not None and container.id in draft.stops:
        after.append(draft.stops[container.id])
    after += needed_by(draft, service)
    after += draft.prepared.get(slot.name, ())
    draft.starts[slot.name] = _add_start(draft, service, slot, container, cause, after)


def _add_start(
    draft: Draft,
    service: DesiredService,
    slot: Slot,
    container: ContainerState | None,
    cause: str,
    after: list[Entry],
) -> Entry:
    """The start, or the end of a pause; `post_start` hooks belong to a start."""
    if container is not None and container.state == "paused" and container.id not in draft.stops:
        payload = UnpauseContainer(slot.name)
        return draft.builder.add(Action.UNPAUSE_CONTAINER, slot.resource, cause, payload, after)
    hooks = [sparse(hook) for hook in service.service.post_start]
    return add_start(draft.builder, slot.resource, slot.name, cause, after, hooks)


def _why_start(draft: Draft, service: DesiredService, container: ContainerState) -> str:
    """Why a container that is kept has to be started; "" if it runs, or has done its work."""
    if container.id in draft.stops:
        restart = draft.restarts.get(container.id)
        return restart.cause if restart else "its network is recreated"
    if container.state in ("running", "restarting", "removing"):
        return ""
    if container.exit_code == 0 and is_one_shot(draft, service) and container.state == "exited":
        return ""
    if container.exit_code is not None and container.state == "exited":
        return f"exited with code {container.exit_code}"
    return f"it is {container.state}"


def _tell_kept(draft: Draft, slot: Slot, container: ContainerState, cause: str) -> None:
    is_restarted = container.id in draft.stops
    if not cause or (not draft.options.start and not is_restarted):
        if slot.verdict is Verdict.KEEP and slot.is_renamed:
            why = f"it is called {container.name}"
            draft.change(slot, Kind.UPDATE, why, origin=Origin.DRIFT)
        else:
            draft.builder.unchanged += slot.verdict is Verdict.KEEP
    elif is_restarted:
        restart = draft.restarts.get(container.id, Restart(cause))
        told = replace(slot, fields=()) if slot.verdict is Verdict.UPDATE else slot
        draft.change(
            told, Kind.RESTART, cause, origin=restart.origin, touched_by=restart.touched_by
        )
    else:
        draft.change(slot, Kind.START, cause, origin=Origin.DRIFT)


def plan_waits(draft: Draft) -> None:
    """`--wait`: the plan ends when everything runs, is healthy if checked, or has completed."""
    for name, service in draft.desired.services.items():
        condition = condition_of(draft, service)
        for slot in draft.slots[name]:
            if slot.verdict is Verdict.REMOVE:
                continue
            if slot.name not in draft.starts and holds(slot.container, condition):
                continue
            timeout_s = wait_timeout_s(draft, service)
            draft.builder.add(
                Action.WAIT_FOR,
                slot.resource,
                "--wait",
                WaitFor(slot.name, condition, name, (), timeout_s),
                draft.started(slot),
            )


def plan_last(draft: Draft) -> None:
    """What was only put aside goes once all else is done, and ready: there is no way back then."""
    if draft.options.renew_anonymous_volumes and draft.replaced:
        _remove_old_volumes(draft)
    if not draft.last:
        return
    builder = draft.builder
    resource = Resource("stack", draft.desired.project)
    ends = builder.ends(draft.last)
    commit = builder.add(Action.COMMIT, resource, "everything is ready", Commit(), ends)
    for entry in draft.last:
        builder.order(entry, [commit])


def _remove_old_volumes(draft: Draft) -> None:
    """Of what is replaced, anonymous volumes that had come from still older containers."""
    going = [container for container, _ in draft.replaced]
    removals = [entry for _, entry in draft.replaced]
    is_last = draft.options.atomic
    entries = remove_leftovers(draft.builder, going, "replaced", removals, is_optional=is_last)
    if is_last:
        draft.last += entries


def _free_host_ports(draft: Draft) -> None:
    """A start follows the stop of whichever other container holds a host port it wants."""
    holders: dict[tuple[int, str], list[str]] = {}
    for container in draft.observed.containers:
        for port in container.ports:
            if port.host_port and container.id in draft.stops:
                holders.setdefault((port.host_port, port.protocol), []).append(container.id)
    if not holders:
        return
    for name, service in draft.desired.services.items():
        wanted = {
            (number, port.protocol or "tcp")
            for port in service.service.ports
            if (number := whole_number(port.published or "", most=_MOST_PORT)) is not None
        }
        for slot in draft.slots[name]:
            if slot.name in draft.starts:
                for port_key in sorted(wanted & holders.keys()):
                    stops = [draft.stops[holder] for holder in holders[port_key]]
                    draft.builder.order(draft.starts[slot.name], stops)


def _settle_names(draft: Draft) -> None:
    """A container that refers to others is made once these have their names for good."""
    for entry, service in draft.refers:
        slots = draft.slots.get(service, ())
        draft.builder.order(entry, [draft.named[s.name] for s in slots if s.name in draft.named])


def _free_names(draft: Draft) -> None:
    """A name is taken after the container that bears it now has gone, or has another."""
    for name, entry in draft.takes:
        if name in draft.leaves:
            draft.builder.order(entry, [draft.leaves[name]])
