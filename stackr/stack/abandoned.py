"""Isolated copies whose folders are gone: found by their labels, and taken away with all they have.

stackr's own engine does so by itself for what runs (`expiry.py`). This is for other engines, and
for volumes that a `down` has left.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from stackr.errors import StackrError
from stackr.runtime import labels
from stackr.runtime.folders import was_removed
from stackr.runtime.protocol import Runtime
from stackr.stack.address import is_of_this_machine
from stackr.stack.context import Context
from stackr.stack.history import forget
from stackr.stack.testenv.removal import remove_environment

__all__ = ["abandoned", "clear_abandoned"]

_STOP_TIMEOUT_S = 10


class Labelled(Protocol):
    """A container, network or volume."""

    @property
    def labels(self) -> Mapping[str, str]: ...


async def clear_abandoned(context: Context, runtime: Runtime, *, beside: str) -> None:
    """Remove the copies on this engine that no folder of this host has any more.

    beside: the project that is left alone. What cannot be removed is told, and ends nothing.
    """
    if not is_of_this_machine(context.engine) or context.is_dry_run:
        return
    label = [labels.ISOLATED]
    found = await asyncio.gather(
        runtime.list_containers(labels=label),
        runtime.list_networks(labels=label),
        runtime.list_volumes(labels=label),
    )
    for project, folder in abandoned(each for kind in found for each in kind).items():
        if project != beside:
            await _remove(context, runtime, project, folder)


def abandoned(items: Iterable[Labelled]) -> dict[str, str]:
    """Each project of which nothing has a folder that may still be there, with that folder; pure
    but for the look at the folders."""
    places: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for item in items:
        found = item.labels
        place = (found.get(labels.FOLDER, ""), found.get(labels.SEEN, ""))
        places[found.get(labels.PROJECT, "")].add(place)
    return {
        project: sorted(seen)[0][0]
        for project, seen in places.items()
        if project and all(was_removed(folder, at) for folder, at in seen)
    }


async def _remove(context: Context, runtime: Runtime, project: str, folder: str) -> None:
    try:
        async with context.locked(runtime, project):
            await remove_environment(runtime, project, None, stop_timeout_s=_STOP_TIMEOUT_S)
            await forget(runtime, project)
    except StackrError as error:
        context.warning(f"{project}: not all is removed: {error.message}")
    else:
        context.message(f"{project}: removed, as its folder {folder} is gone")
