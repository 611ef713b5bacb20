"""Operations on containers: create, recreate, start, restart, scale down, remove orphans.

A recreated container is created beside the old one, which goes on running until then; after it is
stopped and removed, the new one takes its name. Starts follow `depends_on` and its conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.builder import Builder, Entry
from stackr.planner.networks import NetworkPlan
from stackr.planner.observed import Observed
from stackr.planner.options import UpOptions
from stackr.planner.plan import (
    Action,
    Change,
    ConnectNetwork,
    CreateContainer,
    Kind,
    Origin,
    PullImage,
    RemoveContainer,
    RenameContainer,
    Resource,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    WaitFor,
)
from stackr.planner.slots import Slot, Verdict
from stackr.runtime.types import ContainerState

if TYPE_CHECKING:
    from stackr.planner.desired import Desired, DesiredService
    from stackr.runtime.container import ContainerConfig

__all__ = ["Containers", "pull_policy"]

_REFRESH = re.compile(r"daily|weekly|every_.*|refresh")
_COMPLETED = "service_completed_successfully"


def pull_policy(service: DesiredService, options: UpOptions) -> str:
    """always, missing or never. Raises NotSupported for policies that need a builder or a clock."""
    policy = options.pull or service.pull_policy or "missing"
    if policy == "build" or _REFRESH.fullmatch(policy):
        raise NotSupported(f"services.{service.name}.pull_policy: not supported: {policy}")
    return "missing" if policy == "if_not_present" else policy


@dataclass(slots=True)
class Containers:
    """Turns slots into operations; `plan` runs the stages in order.

    stops: the stop of each observed container that is stopped, by its ID. starts: of each
    container that is started, by its final name. named: after which a name belongs to the new
    container. takes, leaves: operations that take a name, and that free one.
    """

    builder: Builder
    desired: Desired
    observed: Observed
    options: UpOptions
    slots: Mapping[str, list[Slot]]
    volumes: Mapping[str, Entry] = field(default_factory=dict)
    networks: NetworkPlan = field(default_factory=NetworkPlan)
    stops: dict[str, Entry] = field(default_factory=dict)
    stop_causes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    starts: dict[str, Entry] = field(default_factory=dict)
    named: dict[str, Entry] = field(default_factory=dict)
    pulls: dict[tuple[str, str], Entry] = field(default_factory=dict)
    waits: dict[tuple[str, str, bool], Entry] = field(default_factory=dict)
    takes: list[tuple[str, Entry]] = field(default_factory=list)
    leaves: dict[str, Entry] = field(default_factory=dict)

    # --- stage 1: what has to stop ---

    def plan_stops(self, network_changes: Mapping[str, object]) -> None:
        """Stops of what is recreated, restarted, or sits in a network that is recreated.

        Dependants stop before what they depend on.
        """
        for slot in self._all_slots():
            if slot.verdict is Verdict.RECREATE and slot.container is not None:
                self._stop(slot, slot.container, slot.cause)
            elif slot.verdict is Verdict.KEEP and slot.container is not None:
                in_changed = [
                    endpoint.network
                    for endpoint in slot.container.networks
                    if endpoint.network in network_changes
                ]
                if in_changed:
                    self._stop(slot, slot.container, f"network {in_changed[0]} is recreated")
        self._stop_dependants()

    def _stop_dependants(self) -> None:
        """`depends_on: {restart: true}`: whoever depends on what is recreated stops before it."""
        for name, service in self.desired.services.items():
            for needed, dependency in service.depends_on.items():
                if not dependency.restart or not self._is_recreated(needed):
                    continue
                for slot in self.slots[name]:
                    if slot.container is None or not slot.container.is_running:
                        continue
                    self._stop(slot, slot.container, f'depends on "{needed}", which is recreated')
                    self.stop_causes.setdefault(slot.container.id, (needed,))
                    self._order_before(slot.container, needed)

    def _is_recreated(self, service: str) -> bool:
        return any(slot.verdict is Verdict.RECREATE for slot in self.slots.get(service, ()))

    def _order_before(self, container: ContainerState, needed: str) -> None:
        for slot in self.slots[needed]:
            if slot.container is not None and slot.container.id in self.stops:
                self.builder.order(self.stops[slot.container.id], [self.stops[container.id]])

    def _stop(self, slot: Slot, container: ContainerState, cause: str) -> None:
        if container.id in self.stops or not container.is_running:
            return
        self.stops[container.id] = self.builder.add(
            Action.STOP_CONTAINER,
            replace(slot.resource, name=container.name),
            cause,
            StopContainer(container.id, self.options.timeout_s),
        )

    # --- stage 2: containers come and go ---

    def plan_containers(self) -> None:
        for name, service in self.desired.services.items():
            for slot in self.slots[name]:
                match slot.verdict:
                    case Verdict.CREATE:
                        self._change(slot, Kind.CREATE, slot.cause)
                        self._create(service, slot)
                    case Verdict.RECREATE:
                        self._change(slot, Kind.RECREATE, slot.cause)
                        self._recreate(service, slot)
                    case Verdict.REMOVE:
                        self._change(slot, Kind.REMOVE, slot.cause)
                        self._remove(slot, slot.cause)
                    case Verdict.KEEP:
                        self._keep(service, slot)

    def _create(self, service: DesiredService, slot: Slot) -> None:
        entry = self._add_create(service, slot, slot.name, self._config(service, slot), slot.cause)
        self.named[slot.name] = entry

    def _add_create(
        self,
        service: DesiredService,
        slot: Slot,
        name: str,
        config: ContainerConfig,
        cause: str,
    ) -> Entry:
        after = [self.networks.ready[n] for n in service.networks if n in self.networks.ready]
        after += [self.volumes[v] for v in service.volumes if v in self.volumes]
        after += self.pull(service)
        for shared in (*service.shares, *self._linked(service)):
            after += [
                self.named[other.name]
                for other in self.slots.get(shared, ())
                if other.name in self.named
            ]
        entry = self.builder.add(
            Action.CREATE_CONTAINER, slot.resource, cause, CreateContainer(name, config), after
        )
        self.takes.append((name, entry))
        return entry

    def _linked(self, service: DesiredService) -> Iterator[str]:
        for link in service.service.links:
            yield link.partition(":")[0]

    def _recreate(self, service: DesiredService, slot: Slot) -> None:
        """create beside, stop, remove, rename; a container that shares another's namespaces has
        to stop first, since what it shares goes."""
        old = slot.container
        if old is None:
            return
        name = f"{old.id[:12]}_{slot.name}"
        cause = f"recreate: {slot.cause}"
        config = self._config(service, slot, replaces=old)
        if old.name == name:  # the survivor of an interrupted recreation bears this very name
            name = f"{old.id[12:24]}_{slot.name}"
        created = self._add_create(service, slot, name, config, cause)
        before_removal = [created]
        stop = self.stops.get(old.id)
        if stop is not None:
            before_removal.append(stop)
            if self._can_be_made_beside(service, old):
                self.builder.order(stop, [created])
        before_removal += self.networks.detached.get(old.id, ())
        removed = self.builder.add(
            Action.REMOVE_CONTAINER,
            replace(slot.resource, name=old.name),
            "replaced",
            RemoveContainer(old.id, volumes=self.options.renew_anonymous_volumes),
            before_removal,
        )
        self.leaves[old.name] = removed
        self.named[slot.name] = self._rename(
            slot, name, "takes the place of the old one", [removed]
        )

    def _rename(self, slot: Slot, ref: str, cause: str, after: Sequence[Entry] = ()) -> Entry:
        payload = RenameContainer(ref, slot.name)
        entry = self.builder.add(Action.RENAME_CONTAINER, slot.resource, cause, payload, after)
        self.takes.append((slot.name, entry))
        return entry

    def _can_be_made_beside(self, service: DesiredService, old: ContainerState) -> bool:
        """Whether the new container can be created while the old one runs: not where that needs
        what only comes after the stop (a network made anew, another container's successor)."""
        names = {*service.networks, *(endpoint.network for endpoint in old.networks)}
        return not (
            service.shares or service.service.links or names & self.networks.recreated.keys()
        )

    def _config(
        self, service: DesiredService, slot: Slot, *, replaces: ContainerState | None = None
    ) -> ContainerConfig:
        image = self.observed.images.get(service.image)
        config = service.config(
            slot.number,
            self._names(),
            image_id=image.id if image else "",
            replaces=replaces.name if replaces else "",
        )
        if replaces is None or self.options.renew_anonymous_volumes:
            return config
        from stackr.planner.container_mounts import inherited_mounts

        volumes = image.volumes if image else None
        return replace(config, mounts=inherited_mounts(config.mounts, replaces.mounts, volumes))

    def _names(self) -> dict[str, list[str]]:
        names = {
            service: [slot.name for slot in slots if slot.verdict is not Verdict.REMOVE]
            for service, slots in self.slots.items()
        }
        for container in self.observed.containers:
            service = container.labels.get("com.docker.compose.service", "")
            if service not in self.slots:
                names.setdefault(service, []).append(container.name)
        return names

    def pull(self, service: DesiredService) -> list[Entry]:
        """What follows when the service's image is here; nothing where it is already."""
        if service.image in self.observed.images:
            return []
        policy = pull_policy(service, self.options)
        if service.is_built:
            raise NotSupported(
                f'service "{service.name}": build: not supported, and there is no image '
                f"{service.image}",
                hint=f"build it with another tool, and tag it {service.image}",
            )
        if policy == "never":
            raise InvalidArgument(
                f'service "{service.name}": image {service.image} is not here, and its pull '
                "policy is never"
            )
        key = (service.image, service.platform)
        if key not in self.pulls:
            resource = Resource("image", service.image)
            users = tuple(
                other.name
                for other in self.desired.services.values()
                if (other.image, other.platform) == key
            )
            self.builder.changes.append(Change(resource, Kind.PULL, "not found"))
            self.pulls[key] = self.builder.add(
                Action.PULL_IMAGE,
                resource,
                "not found",
                PullImage(service.image, service.platform, users),
            )
        return [self.pulls[key]]

    def _remove(self, slot: Slot, cause: str) -> None:
        if slot.container is None:
            return
        self._stop(slot, slot.container, cause)
        stop = self.stops.get(slot.container.id)
        self.leaves[slot.container.name] = self.builder.add(
            Action.REMOVE_CONTAINER,
            slot.resource,
            cause,
            RemoveContainer(slot.container.id),
            [stop] if stop is not None else [],
        )

    def _keep(self, service: DesiredService, slot: Slot) -> None:
        """Name and networks of a container that stays."""
        container = slot.container
        if container is None:
            return
        if container.name != slot.name:
            cause = "an interrupted recreation left another name"
            self.named[slot.name] = self._rename(slot, container.id, cause)
            self.leaves[container.name] = self.named[slot.name]
        for entry in self._reconnect(service, slot, container):
            self.named[slot.name] = entry

    def _reconnect(
        self, service: DesiredService, slot: Slot, container: ContainerState
    ) -> Iterator[Entry]:
        off = self.networks.detached.get(container.id)
        if not off:
            return
        for attachment in self._config(service, slot).networks:
            if attachment.network in self.networks.recreated:
                yield self.builder.add(
                    Action.CONNECT_NETWORK,
                    slot.resource,
                    f"network {attachment.network} is recreated",
                    ConnectNetwork(container.id, attachment),
                    [self.networks.ready[attachment.network], *off],
                )

    # --- stage 3: containers start ---

    def plan_starts(self) -> None:
        for name, service in self.desired.services.items():
            for slot in self.slots[name]:
                if slot.verdict is not Verdict.REMOVE:
                    self._start(service, slot)
        self._free_host_ports()
        self._free_names()

    def _start(self, service: DesiredService, slot: Slot) -> None:
        container = slot.container if slot.verdict is Verdict.KEEP else None
        if container is not None:
            cause = self._why_start(service, container)
            self._tell_kept(slot, container, cause)
            if not cause:
                return
        else:
            cause = "created"
        if not self.options.start:
            return
        after = [self.named[slot.name]] if slot.name in self.named else []
        if container is not None and container.id in self.stops:
            after.append(self.stops[container.id])
        for needed in service.depends_on:
            after += self.ready(service, needed)
        for shared in service.shares:
            after += [
                self.starts[s.name] for s in self.slots.get(shared, ()) if s.name in self.starts
            ]
        is_paused = container is not None and container.state == "paused"
        is_paused = is_paused and container is not None and container.id not in self.stops
        self.starts[slot.name] = self.builder.add(
            Action.UNPAUSE_CONTAINER if is_paused else Action.START_CONTAINER,
            slot.resource,
            cause,
            UnpauseContainer(slot.name) if is_paused else StartContainer(slot.name),
            after,
        )

    def _why_start(self, service: DesiredService, container: ContainerState) -> str:
        """Why a container that is kept has to be started; "" if it runs, or has done its work."""
        if container.id in self.stops:
            causes = self.stop_causes.get(container.id)
            return f'"{causes[0]}" is recreated' if causes else "its network is recreated"
        if container.state in ("running", "restarting", "removing"):
            return ""
        if container.exit_code == 0 and self._is_one_shot(service) and container.state == "exited":
            return ""
        if container.exit_code is not None and container.state == "exited":
            return f"exited with code {container.exit_code}"
        return f"it is {container.state}"

    def _is_one_shot(self, service: DesiredService) -> bool:
        return any(
            dependency.condition == _COMPLETED
            for other in self.desired.services.values()
            for needed, dependency in other.depends_on.items()
            if needed == service.name
        )

    def _tell_kept(self, slot: Slot, container: ContainerState, cause: str) -> None:
        if not cause or (not self.options.start and container.id not in self.stops):
            self.builder.unchanged += 1
        elif container.id in self.stops:
            touched_by = self.stop_causes.get(container.id, ())
            self._change(slot, Kind.RESTART, cause, touched_by=touched_by)
        else:
            self._change(slot, Kind.START, cause, origin=Origin.DRIFT)

    def _change(
        self,
        slot: Slot,
        kind: Kind,
        cause: str,
        *,
        origin: Origin | None = None,
        touched_by: tuple[str, ...] = (),
    ) -> None:
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

    def ready(self, service: DesiredService, needed: str) -> list[Entry]:
        """What a start of `service` follows, so that `needed` is as its condition says."""
        dependency = service.depends_on[needed]
        entries: list[Entry] = []
        for slot in self.slots.get(needed, ()):
            if slot.verdict is Verdict.REMOVE:
                continue
            if dependency.condition == "service_started" and dependency.required:
                entries += [self.starts[slot.name]] if slot.name in self.starts else []
            elif slot.name in self.starts or not _holds(slot.container, dependency.condition):
                entries.append(self._wait(slot, dependency.condition, needed, dependency.required))
        return entries

    def _wait(self, slot: Slot, condition: str, needed: str, required: bool) -> Entry:
        key = (slot.name, condition, required)
        if key not in self.waits:
            users = tuple(
                name
                for name, service in self.desired.services.items()
                if needed in service.depends_on
                and service.depends_on[needed].condition == condition
                and service.depends_on[needed].required == required
            )
            self.waits[key] = self.builder.add(
                Action.WAIT_FOR,
                slot.resource,
                f"needed by {', '.join(users)}",
                WaitFor(slot.name, condition, slot.service, users, self.options.wait_timeout_s),
                [self.starts[slot.name]] if slot.name in self.starts else [],
                is_optional=not required,
            )
        return self.waits[key]

    def plan_waits(self) -> None:
        """`--wait`: the plan ends when everything runs, is healthy if checked, or has completed."""
        for name, service in self.desired.services.items():
            condition = _COMPLETED if self._is_one_shot(service) else "running_or_healthy"
            for slot in self.slots[name]:
                if slot.verdict is Verdict.REMOVE:
                    continue
                if slot.name not in self.starts and _holds(slot.container, condition):
                    continue
                self.builder.add(
                    Action.WAIT_FOR,
                    slot.resource,
                    "--wait",
                    WaitFor(slot.name, condition, name, (), self.options.wait_timeout_s),
                    [self.starts[slot.name]] if slot.name in self.starts else [],
                )

    def _free_host_ports(self) -> None:
        """A start follows the stop of whichever other container holds a host port it wants."""
        holders: dict[tuple[int, str], list[str]] = {}
        for container in self.observed.containers:
            for port in container.ports:
                if port.host_port and container.id in self.stops:
                    holders.setdefault((port.host_port, port.protocol), []).append(container.id)
        if not holders:
            return
        for name, service in self.desired.services.items():
            wanted = {
                (int(port.published), port.protocol or "tcp")
                for port in service.service.ports
                if port.published and port.published.isdecimal()
            }
            for slot in self.slots[name]:
                if slot.name in self.starts:
                    for port_key in sorted(wanted & holders.keys()):
                        stops = [self.stops[holder] for holder in holders[port_key]]
                        self.builder.order(self.starts[slot.name], stops)

    def _free_names(self) -> None:
        """A name is taken after the container that bears it now has gone, or has another."""
        for name, entry in self.takes:
            if name in self.leaves:
                self.builder.order(entry, [self.leaves[name]])

    # --- orphans ---

    def plan_orphans(self) -> None:
        """Containers of services that the stack file does not have: removed, or warned about.

        With them go those of `run` that have ended, about which there is nothing to warn.
        """
        orphans = [
            container
            for container in self.observed.containers
            if container.labels.get("com.docker.compose.service") not in self.desired.known_services
        ]
        if self.options.remove_orphans:
            orphans += [each for each in self.observed.oneoffs if not each.is_running]
        if not orphans:
            return
        if not self.options.remove_orphans:
            names = ", ".join(container.name for container in orphans)
            self.builder.warnings.append(
                f"found orphan containers ({names}) for this project: if their services were "
                "removed from the stack file, --remove-orphans cleans them up"
            )
            return
        for container in orphans:
            slot = Slot(
                container.labels.get("com.docker.compose.service", ""),
                0,
                container.name,
                Verdict.REMOVE,
                "orphan",
                container,
            )
            is_left_over = container in self.observed.oneoffs
            why = "it has ended" if is_left_over else "its service is not in the stack file"
            self._change(slot, Kind.REMOVE, f"orphan: {why}")
            self._remove(slot, "orphan")

    def _all_slots(self) -> Iterator[Slot]:
        for slots in self.slots.values():
            yield from slots


def _holds(container: ContainerState | None, condition: str) -> bool:
    """Whether the condition holds already, as far as the snapshot tells."""
    if container is None:
        return False
    match condition:
        case "service_started":
            return container.is_running or container.state == "exited"
        case "service_healthy":
            return container.health == "healthy"
        case "service_completed_successfully":
            return container.state == "exited" and container.exit_code == 0
        case _:
            return container.state == "running" and container.health in ("", "healthy")
