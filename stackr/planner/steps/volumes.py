"""Operations on a project's volumes: create what is missing, and touch no data unless told to.

A volume that the stack file has in another form by now is kept, with a warning. With
`UpOptions.recreate_volumes` it is made anew: the containers that mount it are removed, then the
volume with its data, and all of them are made again. It must be the project's own, and nobody else
may use it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from stackr.errors import Conflict, InvalidArgument, NotFound
from stackr.planner.change.diff import field_changes
from stackr.planner.change.slots import stored_spec
from stackr.planner.desired.project import Desired, DesiredVolume
from stackr.planner.observe.observed import Observed, service_of
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Change, FieldChange, Kind, Resource
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import CreateVolume, RemoveVolume
from stackr.runtime import labels
from stackr.runtime.types import VolumeState

__all__ = ["VolumePlan", "plan_volumes", "renewed_volumes"]

_Fields = tuple[FieldChange, ...]


@dataclass(slots=True)
class VolumePlan:
    """ready: the operation after which a volume, by name, is there. removals: those that remove
    one which is made anew, after the containers that mount it."""

    ready: dict[str, Entry] = field(default_factory=dict)
    removals: dict[str, Entry] = field(default_factory=dict)


def renewed_volumes(desired: Desired, observed: Observed, options: UpOptions) -> dict[str, _Fields]:
    """The volumes that are made anew, by name, with what has changed of each.

    Raises Conflict for one that others use, InvalidArgument where the change is to be undone if it
    fails: data cannot be brought back.
    """
    if not options.recreate_volumes or options.recreate == "never":
        return {}
    renewed = {}
    for volume in desired.volumes.values():
        changes = _changes(desired.project, volume, observed.volumes.get(volume.name))
        if changes:
            renewed[volume.name] = changes
            _check_users(volume.name, desired, observed, options)
    if renewed and options.atomic:
        raise InvalidArgument(
            f"volume {min(renewed)} would be created again, and its data could not come back:"
            " --atomic and --yes cannot be combined here"
        )
    return renewed


def _changes(project: str, volume: DesiredVolume, state: VolumeState | None) -> _Fields:
    """What the stack file has changed of a volume of the project's own."""
    if state is None or volume.external or state.labels.get(labels.PROJECT) != project:
        return ()
    stored = stored_spec(state.labels)
    return field_changes(stored, volume.spec) if stored is not None else ()


def _check_users(name: str, desired: Desired, observed: Observed, options: UpOptions) -> None:
    users = [*_other_users(name, desired, observed, options), *observed.strangers.get(name, ())]
    if users:
        raise Conflict(
            f"volume {name} cannot be created again: it is used by {', '.join(users)}",
            hint="nothing was changed; remove these containers, or bring up their services as well",
        )


def _other_users(
    name: str, desired: Desired, observed: Observed, options: UpOptions
) -> Iterator[str]:
    """Containers of the project that mount the volume, and are not recreated by this plan."""
    for container in (*observed.containers, *observed.oneoffs):
        service = service_of(container)
        is_orphan = service not in desired.known_services and options.remove_orphans
        is_planned = service in desired.services and container in observed.containers
        if not (is_planned or is_orphan) and any(m.name == name for m in container.mounts):
            yield container.name


def plan_volumes(
    builder: Builder, desired: Desired, observed: Observed, renewed: Mapping[str, _Fields]
) -> VolumePlan:
    """The operations that make the missing volumes, and those that are made anew.

    Raises NotFound for an external volume that is not there.
    """
    plan = VolumePlan()
    for volume in desired.volumes.values():
        state = observed.volumes.get(volume.name)
        if volume.name in renewed:
            _renew(builder, plan, volume, renewed[volume.name])
        elif state is not None:
            builder.unchanged += 1
            if not volume.external:
                _warn(builder, desired.project, volume, state)
        elif volume.external:
            raise NotFound(
                f'external volume "{volume.name}" not found',
                hint=f'create it, or let stackr do so: take "external" from volumes.{volume.key}',
            )
        else:
            resource = Resource("volume", volume.name)
            builder.changes.append(Change(resource, Kind.CREATE, "not found"))
            plan.ready[volume.name] = _create(builder, volume, "not found")
    return plan


def _create(
    builder: Builder, volume: DesiredVolume, cause: str, after: Collection[Entry] = ()
) -> Entry:
    resource = Resource("volume", volume.name)
    payload = CreateVolume(volume.config)
    return builder.add(Action.CREATE_VOLUME, resource, cause, payload, after)


def _renew(builder: Builder, plan: VolumePlan, volume: DesiredVolume, changes: _Fields) -> None:
    resource = Resource("volume", volume.name)
    cause = f"{_paths(changes)} changed"
    builder.changes.append(Change(resource, Kind.RECREATE, cause, changes))
    payload = RemoveVolume(volume.name, is_renewed=True)
    removed = builder.add(Action.REMOVE_VOLUME, resource, cause, payload)
    plan.removals[volume.name] = removed
    plan.ready[volume.name] = _create(builder, volume, cause, [removed])


def _paths(changes: _Fields) -> str:
    return ", ".join(change.path for change in changes)


def _warn(builder: Builder, project: str, volume: DesiredVolume, state: VolumeState) -> None:
    owner = state.labels.get(labels.PROJECT)
    if owner != project:
        made = f'was created for project "{owner}"' if owner else "was not created by stackr"
        builder.warnings.append(
            f"volume {volume.name} exists and {made}: it is used as it is "
            "(set `external: true` to say so)"
        )
        return
    changes = _changes(project, volume, state)
    if changes:
        builder.warnings.append(
            f"volume {volume.name} is kept as it is, although the stack file changed "
            f"{_paths(changes)}: creating it again would lose its data (--yes does that)"
        )
