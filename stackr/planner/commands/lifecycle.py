"""Plans for what exists already: down, stop, pause, unpause, kill, remove.

All is read from labels, so no stack file is needed; where one is there, `services` come from it.
Dependants stop before what they depend on. `restarting` has start and restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from stackr.errors import InvalidArgument
from stackr.planner.desired.project import Desired
from stackr.planner.observe.observed import (
    Observed,
    by_service,
    chosen_containers,
    needs_of,
    resource_of,
    service_of,
)
from stackr.planner.observe.orphans import orphans_warning
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.graph import digraph, topological_order
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.options import DownOptions
from stackr.planner.plan.payloads import (
    KillContainer,
    PauseContainer,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
    UnpauseContainer,
)
from stackr.planner.steps.anonymous import remove_leftovers
from stackr.planner.steps.hooks import add_stop
from stackr.planner.steps.init_steps import remove_steps
from stackr.runtime import labels
from stackr.runtime.types import ContainerState

__all__ = [
    "plan_down",
    "plan_kill",
    "plan_pause",
    "plan_remove",
    "plan_stop",
    "plan_unpause",
]


def plan_down(
    observed: Observed, options: DownOptions | None = None, desired: Desired | None = None
) -> Plan:
    """Stop and remove containers, then networks, and volumes and images if asked for.

    desired: the stack file, where there is one; without it everything that bears the project's
    label goes. External networks and volumes never do.
    """
    options = options or DownOptions()
    builder = Builder(observed.project)
    going, orphans = _going(observed, options, desired)
    if orphans:
        folder = desired.working_dir if desired else ""
        warning = orphans_warning(orphans, folder, "--remove-orphans removes them")
        builder.warnings.append(warning)
    stops = _stop_in_order(builder, going, options.timeout_s, "down")
    ended = remove_steps(builder, _steps(observed, options.services), "down")
    removed: list[Entry] = []
    for container in going:
        resource = resource_of(container)
        builder.changes.append(Change(resource, Kind.REMOVE, "down"))
        removed.append(
            builder.add(
                Action.REMOVE_CONTAINER,
                resource,
                "down",
                RemoveContainer(container.id, force=True, volumes=options.volumes),
                [*stops.get(container.id, ()), *ended],
            )
        )
    removed += ended
    if not options.services:
        _remove_networks(builder, observed, removed)
        if options.volumes:
            _remove_volumes(builder, observed, removed)
    if options.volumes:
        remove_leftovers(builder, going, "asked for", removed)
    if options.images:
        _remove_images(builder, going, options.images, removed, desired)
    return builder.plan()


def _going(
    observed: Observed, options: DownOptions, desired: Desired | None
) -> tuple[list[ContainerState], list[ContainerState]]:
    """The containers that go, and the orphans that stay: those of `run` among them."""
    if options.services:
        return chosen_containers(observed, options.services), []
    if options.remove_orphans:
        return [*observed.containers, *observed.oneoffs], []
    if desired is None:
        return list(observed.containers), list(observed.oneoffs)
    known = desired.known_services
    going = [c for c in observed.containers if service_of(c) in known]
    orphans = [c for c in observed.containers if service_of(c) not in known]
    return going, [*orphans, *observed.oneoffs]


def _steps(observed: Observed, services: Collection[str]) -> Collection[ContainerState]:
    """The containers of `pre_start`; services: () for all."""
    return observed.steps_of(services) if services else observed.steps


def _remove_networks(builder: Builder, observed: Observed, after: Collection[Entry]) -> None:
    for network in observed.networks.values():
        if network.labels.get(labels.PROJECT) == observed.project:
            resource = Resource("network", network.name)
            builder.changes.append(Change(resource, Kind.REMOVE, "down"))
            payload = RemoveNetwork(network.id or network.name)
            builder.add(Action.REMOVE_NETWORK, resource, "down", payload, after)


def _remove_volumes(builder: Builder, observed: Observed, after: Collection[Entry]) -> None:
    for volume in observed.volumes.values():
        if volume.labels.get(labels.PROJECT) == observed.project:
            resource = Resource("volume", volume.name)
            builder.changes.append(Change(resource, Kind.REMOVE, "asked for"))
            payload = RemoveVolume(volume.name)
            builder.add(Action.REMOVE_VOLUME, resource, "asked for", payload, after)


def _remove_images(
    builder: Builder,
    going: Iterable[ContainerState],
    which: str,
    after: Collection[Entry],
    desired: Desired | None,
) -> None:
    """local: only images that the stack file gives no name, which were built for it."""
    references = {container.image for container in going}
    if desired is not None:
        references |= {service.image for service in desired.services.values()}
    if which == "local":
        built = (
            {s.image for s in desired.services.values() if s.service.image is None}
            if desired
            else set()
        )
        references &= built
    for reference in sorted(filter(None, references)):
        resource = Resource("image", reference)
        builder.changes.append(Change(resource, Kind.REMOVE, "asked for"))
        builder.add(Action.REMOVE_IMAGE, resource, "asked for", RemoveImage(reference), after)


def plan_stop(
    observed: Observed, services: Collection[str] = (), *, timeout_s: float | None = None
) -> Plan:
    """Stop what runs, dependants first."""
    builder = Builder(observed.project)
    chosen = chosen_containers(observed, services)
    for container in chosen:
        if container.is_running:
            builder.changes.append(Change(resource_of(container), Kind.STOP, "asked for"))
    _stop_in_order(builder, chosen, timeout_s, "asked for")
    for step in _steps(observed, services):
        if step.is_running:
            builder.changes.append(Change(resource_of(step), Kind.STOP, "asked for"))
            add_stop(builder, step, resource_of(step), "asked for", timeout_s)
    return builder.plan()


def plan_kill(
    observed: Observed, services: Collection[str] = (), *, signal: str = "SIGKILL"
) -> Plan:
    """Send a signal to what runs, one-off containers and those of `pre_start` too."""
    builder = Builder(observed.project)
    for container in (*observed.containers, *observed.oneoffs, *observed.steps):
        is_meant = not services or service_of(container) in services
        if container.is_running and is_meant:
            resource = resource_of(container)
            builder.changes.append(Change(resource, Kind.STOP, signal))
            payload = KillContainer(container.id, signal)
            builder.add(Action.KILL_CONTAINER, resource, signal, payload)
    return builder.plan()


def plan_pause(observed: Observed, services: Collection[str] = ()) -> Plan:
    """Freeze what runs. What is paused already is told by the engine, as with Docker Compose."""
    return _freeze(observed, services, Action.PAUSE_CONTAINER, PauseContainer)


def plan_unpause(observed: Observed, services: Collection[str] = ()) -> Plan:
    """Let what is paused go on."""
    return _freeze(observed, services, Action.UNPAUSE_CONTAINER, UnpauseContainer)


def _freeze(
    observed: Observed,
    services: Collection[str],
    action: Action,
    payload: Callable[[str], PauseContainer | UnpauseContainer],
) -> Plan:
    builder = Builder(observed.project)
    for container in chosen_containers(observed, services):
        if container.is_running:
            resource = resource_of(container)
            builder.changes.append(Change(resource, Kind.UPDATE, action.done.lower()))
            builder.add(action, resource, "asked for", payload(container.id))
    return builder.plan()


def plan_remove(
    observed: Observed,
    services: Collection[str] = (),
    *,
    stop: bool = False,
    volumes: bool = False,
    timeout_s: float | None = None,
) -> Plan:
    """Remove stopped containers; with `stop`, running ones as well."""
    builder = Builder(observed.project)
    going = [c for c in chosen_containers(observed, services) if stop or not c.is_running]
    stops = _stop_in_order(builder, going, timeout_s, "asked for")
    steps = [c for c in _steps(observed, services) if stop or not c.is_running]
    removed = remove_steps(builder, steps, "asked for")
    for container in going:
        resource = resource_of(container)
        builder.changes.append(Change(resource, Kind.REMOVE, "asked for"))
        payload = RemoveContainer(container.id, volumes=volumes)
        after = stops.get(container.id, ())
        removed.append(builder.add(Action.REMOVE_CONTAINER, resource, "asked for", payload, after))
    if volumes:
        remove_leftovers(builder, going, "asked for", removed)
    return builder.plan()


def _stop_in_order(
    builder: Builder,
    containers: Collection[ContainerState],
    timeout_s: float | None,
    cause: str,
) -> dict[str, list[Entry]]:
    """Stop each running container after those of the services that depend on its service.

    Returns what follows the stop of each container, by ID; a stopped one waits for nothing.
    """
    of_service = by_service(containers)
    needs = needs_of(containers)
    try:
        order = topological_order(needs)
    except InvalidArgument:  # labels may say anything; without an order all stop at once
        order, needs = sorted(of_service), {name: set() for name in of_service}
    graph = digraph(needs)
    stopped: dict[str, list[Entry]] = {}
    entries: dict[str, list[Entry]] = {}
    for name in reversed(order):
        before = [
            entry
            for dependant in sorted(graph.successors(name))
            for entry in stopped.get(dependant, ())
        ]
        stopped[name] = list(before)
        for container in of_service[name]:
            if container.is_running:
                resource = resource_of(container)
                entry = add_stop(builder, container, resource, cause, timeout_s, before)
                entries[container.id] = [entry]
                stopped[name].append(entry)
    return entries
