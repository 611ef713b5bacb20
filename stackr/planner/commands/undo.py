"""Back from a change that failed: what was before, and what is now, to a plan. Pure.

What the change replaced was only put aside (`UpOptions.atomic`), so that the very same containers
come back. Volumes that it made are kept, and told: they may hold data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stackr.planner.observe.observed import Observed, dependencies_of, resource_of, service_of
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.graph import topological_order
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.payloads import (
    ConnectNetwork,
    CreateNetwork,
    DisconnectNetwork,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StopContainer,
    UpdateContainer,
)
from stackr.planner.steps.hooks import add_start, hooks_of
from stackr.planner.steps.init_steps import remove_steps
from stackr.planner.steps.networks import attached
from stackr.runtime import labels
from stackr.runtime.container import NetworkAttachment
from stackr.runtime.types import ContainerState, NetworkConfig, NetworkState

__all__ = ["plan_undo"]

_CAUSE = "back to what was before"


def plan_undo(before: Observed, now: Observed) -> Plan:
    """The plan that makes `now` what `before` was, as far as that still exists.

    Warns of what cannot come back: containers that are gone, and volumes that stay.
    """
    undo = _Undo(before, now, Builder(before.project))
    undo.remove_newcomers()
    undo.restore_networks()
    undo.restore_containers()
    undo.tell_volumes()
    return undo.builder.plan()


class _Undo:
    """One plan while it is made. gone: removals of what came newly, by the name that they free."""

    def __init__(self, before: Observed, now: Observed, builder: Builder) -> None:
        self.before, self.now, self.builder = before, now, builder
        self._was = {container.id: container for container in before.containers}
        self._is = {container.id: container for container in now.containers}
        self._gone: dict[str, Entry] = {}
        self._networks: dict[str, Entry] = {}

    def remove_newcomers(self) -> None:
        """Kill and remove the containers that were not there before."""
        known = {step.id for step in self.before.steps}
        new = [step for step in self.now.steps if step.id not in known]
        ended = remove_steps(self.builder, new, _CAUSE)
        kept = {mount.name for container in self.before.containers for mount in container.mounts}
        for container in self.now.containers:
            if container.id in self._was:
                continue
            own = {mount.name for mount in container.mounts if mount.type == "volume"}
            resource = resource_of(container)
            self.builder.changes.append(Change(resource, Kind.REMOVE, _CAUSE))
            payload = RemoveContainer(container.id, force=True, volumes=not own & kept)
            self._gone[container.name] = self.builder.add(
                Action.REMOVE_CONTAINER, resource, _CAUSE, payload, ended
            )

    def restore_networks(self) -> None:
        """Networks that came newly go; those that were made anew get their old form again."""
        for name, state in self.now.networks.items():
            earlier = self.before.networks.get(name)
            if state.labels.get(labels.PROJECT) != self.before.project:
                continue
            if earlier is not None and replace(earlier, id=state.id) == state:
                continue
            removed = self._remove_network(state)
            if earlier is not None:
                self._create_network(earlier, [removed])
        for name, earlier in self.before.networks.items():
            is_ours = earlier.labels.get(labels.PROJECT) == self.before.project
            if is_ours and name not in self.now.networks:
                self._create_network(earlier, [])

    def _remove_network(self, state: NetworkState) -> Entry:
        resource = Resource("network", state.name)
        self.builder.changes.append(Change(resource, Kind.REMOVE, _CAUSE))
        payload = RemoveNetwork(state.id or state.name)
        before = [*self._gone.values(), *self._detach(state.name)]
        return self.builder.add(Action.REMOVE_NETWORK, resource, _CAUSE, payload, before)

    def _detach(self, network: str) -> Iterator[Entry]:
        """Take the containers off the network that were there before."""
        for container in attached(self.now, network):
            if container.id in self._was:
                payload = DisconnectNetwork(container.id, network)
                resource = resource_of(container)
                yield self.builder.add(Action.DISCONNECT_NETWORK, resource, _CAUSE, payload)

    def _create_network(self, state: NetworkState, after: Iterable[Entry]) -> None:
        resource = Resource("network", state.name)
        self.builder.changes.append(Change(resource, Kind.CREATE, _CAUSE))
        payload = CreateNetwork(
            NetworkConfig(
                state.name,
                driver=state.driver,
                options=state.options,
                pools=state.pools,
                internal=state.internal,
                labels=state.labels,
            )
        )
        self._networks[state.name] = self.builder.add(
            Action.CREATE_NETWORK, resource, _CAUSE, payload, after
        )

    def restore_containers(self) -> None:
        """Names, limits, networks and states, in the order of dependencies."""
        by_service: dict[str, list[ContainerState]] = {}
        for container in self.before.containers:
            by_service.setdefault(service_of(container), []).append(container)
        needs: dict[str, set[str]] = {name: set() for name in by_service}
        for name, containers in by_service.items():
            for container in containers:
                needs[name] |= {needed for needed, _ in dependencies_of(container)}
        started: dict[str, list[Entry]] = {}
        for name in topological_order(needs):
            after = [entry for each in sorted(needs[name]) for entry in started.get(each, ())]
            started[name] = [
                entry for container in by_service[name] for entry in self._restore(container, after)
            ]

    def _restore(self, was: ContainerState, after: list[Entry]) -> list[Entry]:
        found = self._is.get(was.id)
        if found is None:
            self.builder.warnings.append(
                f"container {was.name} is gone, and cannot come back: stackr up makes a new one"
            )
            return []
        entries = self._restore_form(was, found)
        if was.is_running == found.is_running:
            self.builder.unchanged += not entries
            if entries:
                self._tell(was, Kind.UPDATE)
            return entries
        resource = resource_of(was)
        if was.is_running:
            self._tell(was, Kind.START)
            hooks = hooks_of(was, "post_start")
            return [add_start(self.builder, resource, was.id, _CAUSE, [*entries, *after], hooks)]
        self._tell(was, Kind.STOP)
        stop = StopContainer(was.id)
        return [self.builder.add(Action.STOP_CONTAINER, resource, _CAUSE, stop, entries)]

    def _tell(self, was: ContainerState, kind: Kind) -> None:
        self.builder.changes.append(Change(resource_of(was), kind, _CAUSE))

    def _restore_form(self, was: ContainerState, found: ContainerState) -> list[Entry]:
        resource, entries = resource_of(was), list[Entry]()
        if found.name != was.name:
            after = [self._gone[was.name]] if was.name in self._gone else []
            payload = RenameContainer(was.id, was.name)
            entries.append(
                self.builder.add(Action.RENAME_CONTAINER, resource, _CAUSE, payload, after)
            )
        if (was.resources, was.restart) != (found.resources, found.restart):
            entries.append(self._update_back(was, found, resource))
        lost = {e.network for e in was.networks} - {e.network for e in found.networks}
        for endpoint in was.networks:
            if endpoint.network in lost or endpoint.network in self._networks:
                attachment = _attachment(endpoint.network, endpoint.aliases)
                after = [*entries, *self._after_network(endpoint.network)]
                connect = ConnectNetwork(was.id, attachment)
                entries.append(
                    self.builder.add(Action.CONNECT_NETWORK, resource, _CAUSE, connect, after)
                )
        return entries

    def _after_network(self, name: str) -> list[Entry]:
        return [self._networks[name]] if name in self._networks else []

    def _update_back(self, was: ContainerState, found: ContainerState, resource: Resource) -> Entry:
        own: dict[str, str | None] = dict.fromkeys(found.labels.keys() - was.labels.keys())
        own |= {key: value for key, value in was.labels.items() if found.labels.get(key) != value}
        payload = UpdateContainer(
            was.id,
            resources=was.resources,
            restart=was.restart,
            labels=own if self.now.engine.update_labels else None,
        )
        return self.builder.add(Action.UPDATE_CONTAINER, resource, _CAUSE, payload)

    def tell_volumes(self) -> None:
        new = [
            name
            for name, state in self.now.volumes.items()
            if name not in self.before.volumes
            and state.labels.get(labels.PROJECT) == self.before.project
        ]
        if new:
            self.builder.warnings.append(
                f"volumes that were made are kept, as they may hold data: {', '.join(new)}"
            )


def _attachment(network: str, aliases: tuple[str, ...]) -> NetworkAttachment:
    return NetworkAttachment(network, aliases=aliases)
