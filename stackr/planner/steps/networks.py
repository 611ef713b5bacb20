"""Operations on a project's networks: create what is missing, recreate what has another form.

A network that changes is made anew with its containers stopped and taken off; those that are not
recreated themselves are connected again. What this project did not make is used as it is. What the
host has lost of any of them is repaired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stackr.errors import NotFound
from stackr.planner.change.diff import field_changes
from stackr.planner.change.slots import stored_spec
from stackr.planner.desired.project import Desired, DesiredNetwork
from stackr.planner.observe.observed import Observed, resource_of
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Change, FieldChange, Kind, Origin, Resource
from stackr.planner.plan.payloads import (
    CreateNetwork,
    DisconnectNetwork,
    RemoveNetwork,
    RepairNetwork,
)
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, NetworkState

__all__ = ["NetworkPlan", "diverged_networks", "plan_networks"]

_TOLD = 3  # faults in a cause


@dataclass(slots=True)
class NetworkPlan:
    """ready: the operation after which a network (by name) is there. recreated: which are new.

    detached: the operations that take a container (by ID) off networks that go.
    """

    ready: dict[str, Entry] = field(default_factory=dict)
    recreated: dict[str, tuple[FieldChange, ...]] = field(default_factory=dict)
    detached: dict[str, list[Entry]] = field(default_factory=dict)


def diverged_networks(desired: Desired, observed: Observed) -> dict[str, tuple[FieldChange, ...]]:
    """Networks of this project, by name, whose recorded form is not the desired one.

    Raises NotFound for an external network that is not there.
    """
    diverged = {}
    for network in desired.networks.values():
        state = observed.networks.get(network.name)
        if state is None:
            if network.external and network.name not in ("host", "none", "bridge"):
                raise NotFound(
                    f"network {network.name} declared as external, but could not be found",
                    hint=f'create it, or let stackr do so: take "external" from '
                    f"networks.{network.key}",
                )
            continue
        stored = stored_spec(state.labels)
        if not network.external and stored is not None and _is_ours(state, desired.project):
            changes = field_changes(stored, network.spec)
            if changes:
                diverged[network.name] = changes
    return diverged


def _is_ours(state: NetworkState, project: str) -> bool:
    return state.labels.get(labels.PROJECT) == project


def plan_networks(
    builder: Builder,
    desired: Desired,
    observed: Observed,
    diverged: Mapping[str, tuple[FieldChange, ...]],
    stops: Mapping[str, Entry],
) -> NetworkPlan:
    """stops: the operations that stop the containers (by ID) of diverged networks."""
    plan = NetworkPlan(recreated=dict(diverged))
    for network in desired.networks.values():
        state = observed.networks.get(network.name)
        resource = Resource("network", network.name)
        if network.external:
            if state is not None and network.name in observed.faults:
                plan.ready[network.name] = _repair(builder, resource, state, observed)
            continue
        if state is None:
            cause = "not found"
            builder.changes.append(Change(resource, Kind.CREATE, cause))
            plan.ready[network.name] = _create(builder, resource, network, cause)
        elif network.name in diverged:
            _recreate(builder, network, observed, diverged[network.name], stops, plan)
        elif network.name in observed.faults:
            plan.ready[network.name] = _repair(builder, resource, state, observed)
            _warn_foreign(builder, desired.project, state)
        else:
            builder.unchanged += 1
            _warn_foreign(builder, desired.project, state)
    return plan


def _create(
    builder: Builder,
    resource: Resource,
    network: DesiredNetwork,
    cause: str,
    after: tuple[Entry, ...] = (),
) -> Entry:
    return builder.add(Action.CREATE_NETWORK, resource, cause, CreateNetwork(network.config), after)


def _repair(builder: Builder, resource: Resource, state: NetworkState, observed: Observed) -> Entry:
    """What the host has lost of a network comes back; its containers stay as they are."""
    faults = observed.faults[state.name]
    cause = ", ".join(f"{fault.what} is {fault.found}" for fault in faults[:_TOLD])
    if len(faults) > _TOLD:
        cause += f", and {len(faults) - _TOLD} more"
    changes = tuple(
        FieldChange(f.what, f.found, f.wanted, forces_recreate=False, origin=Origin.DRIFT)
        for f in faults
    )
    builder.changes.append(Change(resource, Kind.UPDATE, cause, changes, Origin.DRIFT))
    return builder.add(Action.REPAIR_NETWORK, resource, cause, RepairNetwork(state.id))


def _recreate(
    builder: Builder,
    network: DesiredNetwork,
    observed: Observed,
    changes: tuple[FieldChange, ...],
    stops: Mapping[str, Entry],
    plan: NetworkPlan,
) -> None:
    resource = Resource("network", network.name)
    cause = f"{', '.join(change.path for change in changes)} changed"
    builder.changes.append(Change(resource, Kind.RECREATE, cause, changes))
    off = []
    for container in attached(observed, network.name):
        entry = builder.add(
            Action.DISCONNECT_NETWORK,
            resource_of(container),
            f"network {network.name} is recreated",
            DisconnectNetwork(container.id, network.name),
            [stops[container.id]] if container.id in stops else [],
        )
        plan.detached.setdefault(container.id, []).append(entry)
        off.append(entry)
    removed = builder.add(Action.REMOVE_NETWORK, resource, cause, RemoveNetwork(network.name), off)
    plan.ready[network.name] = _create(builder, resource, network, cause, (removed,))


def attached(observed: Observed, network: str) -> list[ContainerState]:
    """The project's containers that are in this network."""
    return [
        container
        for container in observed.containers
        if any(endpoint.network == network for endpoint in container.networks)
    ]


def _warn_foreign(builder: Builder, project: str, state: NetworkState) -> None:
    if _is_ours(state, project):
        return
    owner = state.labels.get(labels.PROJECT)
    made = f'created for project "{owner}"' if owner else "created by stackr"
    builder.warnings.append(
        f"a network with name {state.name} exists but was not {made}: it is used as it is "
        "(set `external: true` to say so)"
        if not owner
        else f"network {state.name} was {made}: it is used as it is "
        "(set `external: true` to say so)"
    )
