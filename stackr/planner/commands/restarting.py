"""Plans that start or restart containers that exist, after what they depend on.

All is read from labels: which service needs which, under which condition, and whether it restarts
with it. A stack file, where there is one, says which of these needs are optional.
Source: docker/compose v2.40.3, pkg/compose/start.go and restart.go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from stackr.errors import Conflict
from stackr.planner.change.slots import stored_spec
from stackr.planner.desired.init_steps import Surroundings, steps_of
from stackr.planner.observe.observed import (
    Observed,
    by_service,
    chosen_containers,
    needs_of,
    number_of,
    resource_of,
    service_of,
    told_dependencies,
)
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.graph import closure, topological_order
from stackr.planner.plan.model import Action, Change, Kind, Plan
from stackr.planner.plan.payloads import UnpauseContainer, WaitFor
from stackr.planner.steps.hooks import add_restart, add_start, hooks_of
from stackr.planner.steps.init_steps import InitSteps, Site, has_begun
from stackr.planner.steps.readiness import COMPLETED
from stackr.runtime import labels
from stackr.runtime.types import ContainerState

__all__ = ["Optional", "plan_restart", "plan_start"]

_STARTED = "service_started"

Optional = Collection[tuple[str, str]]
"""A service and one that it needs, without which it starts as well."""


def plan_start(
    observed: Observed,
    services: Collection[str] = (),
    *,
    optional: Optional = (),
    wait: bool = False,
    wait_timeout_s: float | None = None,
) -> Plan:
    """Start what is stopped, and what it depends on before it, each once its conditions hold; what
    was never started, after its steps of `pre_start`.

    Raises Conflict for a dependency without a container, if its condition needs one.
    """
    everything = [c for c in observed.containers if not c.is_unfinished]
    chosen_containers(observed, services)
    names = closure(services, needs_of(everything))
    chosen = [c for c in everything if not services or service_of(c) in names]
    order = _Order(observed, chosen, optional, strict=True, wait_timeout_s=wait_timeout_s)
    order.enter_all(
        lambda builder, container, after: _start(
            builder, container, _cause(services, container, "needed by others"), after
        )
    )
    if wait:
        order.wait_for_all(_one_shots(everything))
    return order.builder.plan()


def plan_restart(
    observed: Observed,
    services: Collection[str] = (),
    *,
    optional: Optional = (),
    timeout_s: float | None = None,
    no_deps: bool = False,
) -> Plan:
    """Restart containers, each after what it depends on; whatever depends on them with
    `restart: true`, and so on, restarts as well, unless `no_deps`.

    A condition counts where the dependency has `restart: true`; elsewhere the order does.
    """

    def enter(
        builder: Builder, container: ContainerState, after: list[Entry]
    ) -> tuple[Entry, Kind, str] | None:
        resource = resource_of(container)
        cause = _cause(services, container, "a dependency restarts")
        entry = add_restart(builder, container, resource, cause, timeout_s, after)
        return entry, Kind.RESTART, cause

    everything = [c for c in observed.containers if not c.is_unfinished]
    chosen_containers(observed, services)
    names = set(services) if no_deps else closure(services, _restarted_by(everything))
    chosen = [c for c in everything if not services or service_of(c) in names]
    order = _Order(observed, chosen, optional, strict=False)
    order.enter_all(enter)
    return order.builder.plan()


_Enter = Callable[[Builder, ContainerState, list[Entry]], tuple[Entry, Kind, str] | None]
"""Enters what is to be done to a container; None if nothing is."""


def _cause(services: Collection[str], container: ContainerState, otherwise: str) -> str:
    is_named = not services or service_of(container) in services
    return "asked for" if is_named else otherwise


def _start(
    builder: Builder, container: ContainerState, cause: str, after: list[Entry]
) -> tuple[Entry, Kind, str] | None:
    resource = resource_of(container)
    if container.state == "paused":
        payload = UnpauseContainer(container.id)
        entry = builder.add(Action.UNPAUSE_CONTAINER, resource, cause, payload, after)
        return entry, Kind.START, cause
    if container.is_running:
        return None
    hooks = hooks_of(container, "post_start")
    entry = add_start(builder, resource, container.id, cause, after, hooks)
    return entry, Kind.START, cause


def _restarted_by(containers: Iterable[ContainerState]) -> dict[str, set[str]]:
    """Each service with those that restart when it does."""
    restarted: dict[str, set[str]] = {}
    for container in containers:
        for needed, told in _dependencies(container).items():
            if told["restart"]:
                restarted.setdefault(needed, set()).add(service_of(container))
    return restarted


def _one_shots(containers: Iterable[ContainerState]) -> set[str]:
    """The services whose end others wait for."""
    return {
        needed
        for container in containers
        for needed, told in _dependencies(container).items()
        if told["condition"] == COMPLETED
    }


def _dependencies(container: ContainerState) -> dict[str, dict[str, Any]]:
    return told_dependencies(container.labels.get(labels.DEPENDS_ON, ""))


class _Order:
    """Enters one operation for each container, after what it depends on.

    strict: each condition counts, and needs a container; otherwise only those of dependencies
    with `restart: true`. wait_timeout_s: how long one condition may take.
    """

    def __init__(
        self,
        observed: Observed,
        chosen: Sequence[ContainerState],
        optional: Optional,
        *,
        strict: bool,
        wait_timeout_s: float | None = None,
    ) -> None:
        self.builder = Builder(observed.project)
        self._observed = observed
        self._chosen = chosen
        self._of_service = by_service(chosen)
        self._optional = optional
        self._strict = strict
        self._wait_timeout_s = wait_timeout_s
        self._done: dict[str, Entry] = {}
        self._waits: dict[tuple[str, str, bool], list[Entry]] = {}

    def enter_all(self, enter: _Enter) -> None:
        for name in topological_order(needs_of(self._chosen)):
            prepared, steps = self._prepare(name)
            for container in self._of_service[name]:
                after = prepared.get(container.name) or self._after(container)
                made = enter(self.builder, container, after)
                if made is not None:
                    self._done[container.id], kind, cause = made
                    self.builder.changes.append(Change(resource_of(container), kind, cause))
            if steps is not None:
                starts = ((c.name, self._done.get(c.id)) for c in self._of_service[name])
                steps.remove_after({each: entry for each, entry in starts if entry is not None})

    def _prepare(self, service: str) -> tuple[dict[str, list[Entry]], InitSteps | None]:
        """The steps of those that were never started: what the start of each, by name, follows."""
        containers = self._of_service[service]
        fresh = [each for each in containers if not has_begun(each)]
        spec = stored_spec(fresh[0].labels) if fresh else None
        if spec is None or not steps_of(spec):
            return {}, None
        if any(spec.get(kind) for kind in ("configs", "secrets")):
            raise Conflict(
                f'service "{service}": its pre_start steps have not run, and need its files',
                hint=f"bring it up: stackr up -d {service}",
            )
        found = self._observed.steps_of((service,))
        steps = InitSteps(
            self.builder, self._observed.project, service, spec, found, self._wait_timeout_s
        )
        sites = [_site(each, self._after(each)) for each in fresh]
        steps.enter(sites, once=len(fresh) == len(containers))
        return {site.name: site.after for site in sites}, steps

    def wait_for_all(self, one_shots: Collection[str]) -> None:
        """Let the plan end when all run, are healthy where that is checked, or have completed."""
        for name, containers in self._of_service.items():
            condition = COMPLETED if name in one_shots else "running_or_healthy"
            self._wait(containers, condition, is_optional=False)

    def _after(self, container: ContainerState) -> list[Entry]:
        """What follows everything that the container depends on."""
        after: list[Entry] = []
        service = service_of(container)
        for needed, told in _dependencies(container).items():
            is_optional = (service, needed) in self._optional
            counts = self._strict or told["restart"]
            condition = told["condition"] if counts else _STARTED
            key = (needed, condition, is_optional)
            if key not in self._waits:
                containers = self._of_service.get(needed, [])
                is_possible = containers or condition == _STARTED or is_optional
                if self._strict and not is_possible:
                    raise Conflict(
                        f"{service} is missing dependency {needed}", hint="create it with stackr up"
                    )
                self._waits[key] = self._wait(containers, condition, is_optional=is_optional)
            after += self._waits[key]
        return after

    def _wait(
        self, containers: Iterable[ContainerState], condition: str, *, is_optional: bool
    ) -> list[Entry]:
        """What follows the condition of these containers; a start alone where that is enough."""
        entries = []
        for container in containers:
            start = self._done.get(container.id)
            if start is None and _holds(container, condition):
                continue
            if start is not None and condition == _STARTED and not is_optional:
                entries.append(start)
                continue
            entries.append(
                self.builder.add(
                    Action.WAIT_FOR,
                    resource_of(container),
                    condition,
                    WaitFor(
                        container.name,
                        condition,
                        service_of(container),
                        (),
                        self._wait_timeout_s,
                    ),
                    [start] if start is not None else [],
                    is_optional=is_optional,
                )
            )
        return entries


def _site(container: ContainerState, after: list[Entry]) -> Site:
    joined = [endpoint.network for endpoint in container.networks]
    networks = sorted(joined, key=lambda name: name != container.network_mode)
    around = Surroundings(container.labels, container.network_mode, networks)
    number = number_of(container)
    return Site(container.name, number, container.id, around, container.id, list(after))


def _holds(container: ContainerState, condition: str) -> bool:
    """Whether it holds for a container that stays as it is."""
    if condition == _STARTED:
        return True
    return container.is_running and container.health == "healthy" and condition != COMPLETED
