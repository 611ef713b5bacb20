"""Operations on a project's volumes: create what is missing, and never touch data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackr.errors import NotFound
from stackr.planner.builder import Builder, Entry
from stackr.planner.diff import field_changes
from stackr.planner.observed import Observed
from stackr.planner.payloads import CreateVolume
from stackr.planner.plan import Action, Change, Kind, Resource
from stackr.planner.slots import stored_spec
from stackr.runtime import labels
from stackr.runtime.types import VolumeState

if TYPE_CHECKING:
    from stackr.planner.desired import Desired, DesiredVolume

__all__ = ["plan_volumes"]


def plan_volumes(builder: Builder, desired: Desired, observed: Observed) -> dict[str, Entry]:
    """The operation that makes each missing volume, by name.

    A volume that exists in another form is kept, with a warning: making it anew loses its data.
    Raises NotFound for an external volume that is not there.
    """
    ready: dict[str, Entry] = {}
    for volume in desired.volumes.values():
        state = observed.volumes.get(volume.name)
        if state is not None:
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
            ready[volume.name] = builder.add(
                Action.CREATE_VOLUME, resource, "not found", CreateVolume(volume.config)
            )
    return ready


def _warn(builder: Builder, project: str, volume: DesiredVolume, state: VolumeState) -> None:
    owner = state.labels.get(labels.PROJECT)
    if owner != project:
        made = f'was created for project "{owner}"' if owner else "was not created by stackr"
        builder.warnings.append(
            f"volume {volume.name} exists and {made}: it is used as it is "
            "(set `external: true` to say so)"
        )
        return
    stored = stored_spec(state.labels)
    changes = field_changes(stored, volume.spec) if stored is not None else ()
    if changes:
        builder.warnings.append(
            f"volume {volume.name} is kept as it is, although the stack file changed "
            f"{', '.join(change.path for change in changes)}: making it anew would lose its data"
        )
