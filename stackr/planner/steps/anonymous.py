"""Anonymous volumes that an engine does not remove with a container, though it is told to.

A container that takes another's place is given the anonymous volumes of the old one by their names,
and so are those that have `volumes_from`; to the engine they are named ones from then on. Pure.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from stackr.planner.change.slots import stored_spec
from stackr.planner.desired.keys import ANONYMOUS
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Resource
from stackr.planner.plan.payloads import RemoveVolume
from stackr.runtime import labels
from stackr.runtime.types import ContainerState

__all__ = ["remove_leftovers"]


def remove_leftovers(
    builder: Builder,
    going: Sequence[ContainerState],
    cause: str,
    after: Collection[Entry],
    *,
    is_optional: bool = False,
) -> list[Entry]:
    """Remove what the removal of these containers, with their anonymous volumes, leaves behind.

    after: their removals. What somebody else still uses stays.
    """
    return [
        builder.add(
            Action.REMOVE_VOLUME,
            Resource("volume", name),
            cause,
            RemoveVolume(name),
            after,
            is_optional=is_optional,
        )
        for name in _left_behind(going)
    ]


def _left_behind(going: Sequence[ContainerState]) -> list[str]:
    users = Counter(name for each in going for name in {mount.name for mount in each.mounts})
    return sorted(
        {
            name
            for container in going
            for name in _anonymous(container)
            if labels.REPLACE in container.labels or users[name] > 1
        }
    )


def _anonymous(container: ContainerState) -> Iterator[str]:
    """The names of the container's own anonymous volumes, as far as it says what it was made of.

    What it mounts by `volumes_from` alone is another one's.
    """
    spec = stored_spec(container.labels)
    if spec is None:
        return
    sources = {
        posixpath.normpath(volume.get("target") or "/"): volume.get("source")
        for volume in spec.get("volumes", ())
    }
    for mount in container.mounts:
        is_own = mount.target in sources or not spec.get("volumes_from")
        is_unnamed = not sources.get(mount.target) and ANONYMOUS.fullmatch(mount.name)
        if mount.type == "volume" and is_own and is_unnamed:
            yield mount.name
