"""The plan of an `up` while it is made: what was decided, and what has been entered so far.

The stages (`stopping`, `networks`, `volumes`, `creating`, `starting`, `rolling`) enter operations
one after the other; each leaves here after which entry a thing is as the next stage needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.desired.container_mounts import inherited_mounts
from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.observe.observed import Observed, service_of
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Change, Kind, Origin
from stackr.planner.plan.options import UpOptions
from stackr.planner.steps.networks import NetworkPlan
from stackr.planner.steps.volumes import VolumePlan
from stackr.runtime.container import ContainerConfig
from stackr.runtime.types import ContainerState

__all__ = ["Draft", "Restart"]


@dataclass(frozen=True, slots=True)
class Restart:
    """Why a container that is kept is stopped and started. touched_by: whose change cascades."""

    cause: str
    touched_by: tuple[str, ...] = ()
    origin: Origin = Origin.FILE


@dataclass(slots=True)
class Draft:
    """stops: the stop of each observed container that is stopped, by its ID. restarts: why those
    of them are started again that are kept. stops_before: the stops that the stop of a container,
    by its ID, follows. starts: after which each container that is started runs, by its final name.
    named: after which a name belongs to
    the new container. takes, leaves: operations that take a name, and that free one.
    standbys: the creation of each container that starts beside the one it replaces, by its final
    name. created: what each new container is called as it is made, and after which it is, by its
    final name. prepared: what a start follows so that the steps of `pre_start` are done, likewise.
    refers: creations that name another service's containers. last: removals that follow
    everything else. replaced: the containers that make way, each with its removal.
    """

    builder: Builder
    desired: Desired
    observed: Observed
    options: UpOptions
    slots: Mapping[str, list[Slot]]
    volumes: VolumePlan = field(default_factory=VolumePlan)
    networks: NetworkPlan = field(default_factory=NetworkPlan)
    stops: dict[str, Entry] = field(default_factory=dict)
    restarts: dict[str, Restart] = field(default_factory=dict)
    stops_before: dict[str, list[Entry]] = field(default_factory=dict)
    starts: dict[str, Entry] = field(default_factory=dict)
    named: dict[str, Entry] = field(default_factory=dict)
    pulls: dict[tuple[str, str], Entry] = field(default_factory=dict)
    waits: dict[tuple[str, str, bool], Entry] = field(default_factory=dict)
    takes: list[tuple[str, Entry]] = field(default_factory=list)
    leaves: dict[str, Entry] = field(default_factory=dict)
    standbys: dict[str, Entry] = field(default_factory=dict)
    created: dict[str, tuple[str, Entry]] = field(default_factory=dict)
    prepared: dict[str, list[Entry]] = field(default_factory=dict)
    refers: list[tuple[Entry, str]] = field(default_factory=list)
    last: list[Entry] = field(default_factory=list)
    replaced: list[tuple[ContainerState, Entry]] = field(default_factory=list)
    _names: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._names = {
            service: [slot.name for slot in slots if slot.verdict is not Verdict.REMOVE]
            for service, slots in self.slots.items()
        }
        for container in self.observed.containers:
            service = service_of(container)
            if service not in self.slots:
                self._names.setdefault(service, []).append(container.name)

    def all_slots(self) -> Iterator[Slot]:
        for slots in self.slots.values():
            yield from slots

    def is_recreated(self, service: str) -> bool:
        return any(slot.verdict is Verdict.RECREATE for slot in self.slots.get(service, ()))

    def started(self, slot: Slot) -> list[Entry]:
        """After which the slot's container runs; nothing if it does already."""
        return [self.starts[slot.name]] if slot.name in self.starts else []

    def can_be_made_beside(self, service: DesiredService, old: ContainerState) -> bool:
        """Whether the new container can be created while the old one runs: not where that needs
        what only comes after the stop (a network or volume made anew, another one's successor)."""
        names = {*service.networks, *(endpoint.network for endpoint in old.networks)}
        recreated = self.networks.recreated.keys()
        is_free = not (service.shares or service.service.links or names & recreated)
        return is_free and not self.renewed(old)

    def renewed(self, container: ContainerState) -> list[Entry]:
        """The removals of volumes that the container mounts, which are made anew."""
        names = {mount.name for mount in container.mounts}
        return [entry for name, entry in self.volumes.removals.items() if name in names]

    def change(
        self,
        slot: Slot,
        kind: Kind,
        cause: str,
        *,
        origin: Origin | None = None,
        touched_by: tuple[str, ...] = (),
    ) -> None:
        """Tell what happens to the slot's container."""
        self.builder.changes.append(
            Change(
                slot.resource,
                kind,
                cause,
                slot.fields,
                origin or slot.origin,
                touched_by or slot.touched_by,
            )
        )

    def config(
        self, service: DesiredService, slot: Slot, *, replaces: ContainerState | None = None
    ) -> ContainerConfig:
        """What the slot's container is made of; it keeps the anonymous volumes of the old one."""
        image = self.observed.images.get(service.image)
        config = service.config(
            slot.number,
            self._names,
            image_id=image.id if image else "",
            replaces=replaces.name if replaces else "",
        )
        if replaces is None or self.options.renew_anonymous_volumes:
            return config
        volumes = image.volumes if image else None
        return replace(config, mounts=inherited_mounts(config.mounts, replaces.mounts, volumes))
