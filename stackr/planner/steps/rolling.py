"""Updates of a service replica by replica, as `deploy.update_config` asks for.

With `start-first` the new container starts in standby beside the old one, becomes ready, takes over
its ports and names at one moment, and the old one is stopped once its connections have ended; with
`stop-first` the old one stops first. After each batch a gate counts the failures.
Source: Compose Deploy Specification, `update_config`; Docker's `service update` for its defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.config_hash import sparse
from stackr.planner.desired.project import DesiredService
from stackr.planner.plan.builder import Entry
from stackr.planner.plan.model import Action, Kind, Resource
from stackr.planner.plan.payloads import (
    Delay,
    DrainContainer,
    Gate,
    MonitorContainer,
    PromoteContainer,
    WaitFor,
)
from stackr.planner.steps.creating import add_create, add_rename, make_way, temporary_name
from stackr.planner.steps.draft import Draft
from stackr.planner.steps.hooks import add_start
from stackr.planner.steps.readiness import condition_of, conditions, wait_timeout_s
from stackr.runtime import labels
from stackr.spec.model.deploy import UpdateConfig

__all__ = ["add_standbys", "plan_updates", "rolled", "starts_first", "update_config"]

_STOP_GRACE_S = 10.0
"""How long a container may take to stop where nothing says so; of Docker."""


def rolled(draft: Draft, service: DesiredService) -> list[Slot]:
    """The replicas that are replaced one after the other; [] for a service without such a rule.

    Not those that are down, none where the replacement cannot be made beside the old one, and none
    that stops before what it depends on does (`restart: true`).
    """
    if update_config(draft, service) is None or not draft.options.start:
        return []
    return [
        slot
        for slot in draft.slots[service.name]
        if slot.verdict is Verdict.RECREATE
        and slot.container is not None
        and slot.container.id in draft.stops
        and slot.container.id not in draft.restarts
        and draft.can_be_made_beside(service, slot.container)
    ]


def update_config(draft: Draft, service: DesiredService) -> UpdateConfig | None:
    """The rules of this update: those of a rollback, where it is one and has any of its own."""
    deploy = service.service.deploy
    if deploy is None:
        return None
    if draft.options.is_rollback and deploy.rollback_config is not None:
        return deploy.rollback_config
    return deploy.update_config


def starts_first(draft: Draft, service: DesiredService) -> bool:
    config = update_config(draft, service)
    return config is not None and config.order == "start-first" and _can_start_first(draft, service)


def _can_start_first(draft: Draft, service: DesiredService) -> bool:
    """Two containers cannot publish one port, unless the engine hands it from one to the other."""
    return draft.observed.engine.handover or not any(
        port.published for port in service.service.ports
    )


def add_standbys(draft: Draft, service: DesiredService) -> set[str]:
    """Create the replacements of a start-first update; the names of the slots that have one."""
    made: set[str] = set()
    slots = rolled(draft, service)
    config = update_config(draft, service)
    if slots and config is not None and config.order == "start-first":
        if not _can_start_first(draft, service):
            draft.builder.warnings.append(
                f'service "{service.name}": this engine cannot hand ports from one container to '
                "another: its update stops each container before it starts the next"
            )
            return made
        for slot in slots:
            _add_standby(draft, service, slot)
            made.add(slot.name)
    return made


def _add_standby(draft: Draft, service: DesiredService, slot: Slot) -> None:
    old = slot.container
    if old is None:
        return
    draft.change(slot, Kind.RECREATE, slot.cause)
    config = draft.config(service, slot, replaces=old)
    if draft.observed.engine.handover:
        config = replace(config, labels={**config.labels, labels.STANDBY: "true"})
    name = temporary_name(draft, slot, old)
    cause = f"recreate: {slot.cause}"
    draft.standbys[slot.name] = add_create(draft, service, slot, name, config, cause)


def plan_updates(draft: Draft, service: DesiredService) -> set[str]:
    """Enter the batches of the service's update; the names of the slots that are started so."""
    slots = rolled(draft, service)
    config = update_config(draft, service)
    if not slots or config is None:
        return set()
    update = _Update(draft, service, config, len(slots))
    before: list[Entry] = []
    for batch in _batches(slots, config):
        before = update.add_batch(batch, before, is_last=batch[-1] is slots[-1])
    return {slot.name for slot in slots}


def _batches(slots: list[Slot], config: UpdateConfig) -> Iterator[list[Slot]]:
    size = 1 if config.parallelism is None else config.parallelism or len(slots)
    for start in range(0, len(slots), size):
        yield slots[start : start + size]


@dataclass(slots=True)
class _Update:
    """One service's update while it is entered. total: how many replicas it has.

    held: the stops of dependants that wait for the first replica.
    """

    draft: Draft
    service: DesiredService
    config: UpdateConfig
    total: int
    held: set[Entry] = field(default_factory=set)

    def add_batch(self, slots: list[Slot], before: list[Entry], *, is_last: bool) -> list[Entry]:
        """Replace these replicas after `before`; what the next batch follows."""
        is_beside = starts_first(self.draft, self.service)
        replace_one = self._start_first if is_beside else self._stop_first
        checks = [entry for slot in slots for entry in replace_one(slot, before)]
        builder, resource = self.draft.builder, Resource("service", self.service.name)
        action = self.config.failure_action or "pause"
        gate = Gate(self.service.name, action, self._tolerated(action))
        after = [builder.add(Action.CHECK_UPDATE, resource, f"{len(slots)} updated", gate, checks)]
        if self.config.delay and not is_last:
            delay = Delay(self.config.delay)
            after = [builder.add(Action.DELAY, resource, "update_config.delay", delay, after)]
        return after

    def _tolerated(self, action: str) -> int:
        """How many replicas may fail before the update stops."""
        if action == "continue":
            return self.total
        return int(self.config.max_failure_ratio * self.total)

    def _start_first(self, slot: Slot, before: list[Entry]) -> list[Entry]:
        """Start beside, be ready, take over, drain, stop, and take the name as well."""
        draft, old = self.draft, slot.container
        if old is None:
            return []
        name = temporary_name(draft, slot, old)
        started = self._start(slot, name, [draft.standbys[slot.name], *before])
        checks = self._checks(slot, name, [started])
        after = checks[-1:]
        if draft.observed.engine.handover:
            after = [self._promote(slot, name, old.id, after)]
            after = [self._drain(slot, old.name, old.id, after)]
        stop = draft.stops[old.id]
        draft.builder.order(stop, after)
        self._hold_dependants(old.id, after)
        gone = make_way(draft, slot, old, [stop])
        named = add_rename(draft, slot, name, "takes the place of the old one", [gone])
        draft.named[slot.name] = draft.starts[slot.name] = named
        return [*checks, named]

    def _hold_dependants(self, old: str, after: list[Entry]) -> None:
        """Who stops before the old container does goes on until there is no way back; of several
        replicas the first one counts. Not whose end the new container waits for itself, as for that
        of another dependant of what it depends on."""
        builder = self.draft.builder
        for entry in set(self.draft.stops_before.get(old, ())) - self.held:
            if not builder.leads_to(entry, after):
                builder.order(entry, after)
                self.held.add(entry)

    def _promote(self, slot: Slot, name: str, old: str, after: list[Entry]) -> Entry:
        cause = "takes over ports and names"
        return self.draft.builder.add(
            Action.PROMOTE_CONTAINER, slot.resource, cause, PromoteContainer(name, old), after
        )

    def _drain(self, slot: Slot, old_name: str, old: str, after: list[Entry]) -> Entry:
        grace_s = self.service.service.stop_grace_period
        if self.draft.options.timeout_s is not None:
            grace_s = self.draft.options.timeout_s
        payload = DrainContainer(old, _STOP_GRACE_S if grace_s is None else grace_s)
        resource = replace(slot.resource, name=old_name)
        cause = "its connections may end"
        return self.draft.builder.add(Action.DRAIN_CONTAINER, resource, cause, payload, after)

    def _stop_first(self, slot: Slot, before: list[Entry]) -> list[Entry]:
        """The order of any other recreation, but one batch after the other."""
        draft = self.draft
        if slot.container is None:
            return []
        prepared = draft.prepared.get(slot.name, ())
        draft.builder.order(draft.stops[slot.container.id], [*before, *prepared])
        started = self._start(slot, slot.name, [draft.named[slot.name], *before])
        draft.starts[slot.name] = started
        return self._checks(slot, slot.name, [started])

    def _start(self, slot: Slot, ref: str, after: list[Entry]) -> Entry:
        draft = self.draft
        for needed in self.service.depends_on:
            after += conditions(draft, self.service, needed)
        after += draft.prepared.get(slot.name, ())
        hooks = [sparse(hook) for hook in self.service.service.post_start]
        return add_start(draft.builder, slot.resource, ref, "created", after, hooks)

    def _checks(self, slot: Slot, ref: str, after: list[Entry]) -> list[Entry]:
        """It becomes ready, and stays so for the time that it is monitored."""
        builder, service = self.draft.builder, self.service
        timeout_s = wait_timeout_s(self.draft, service)
        wait = WaitFor(ref, condition_of(self.draft, service), service.name, (), timeout_s)
        checks = [builder.add(Action.WAIT_FOR, slot.resource, "update", wait, after)]
        if self.config.monitor:
            payload = MonitorContainer(ref, self.config.monitor)
            checks.append(
                builder.add(
                    Action.MONITOR_CONTAINER,
                    slot.resource,
                    "update_config.monitor",
                    payload,
                    checks[-1:],
                )
            )
        return checks
