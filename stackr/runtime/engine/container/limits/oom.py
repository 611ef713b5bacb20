"""Tells at once that the kernel has killed one of a container's processes for want of memory; the
container may well go on.

On v2 the kernel counts and notifies itself, in the group's `memory.events`. On v1 the monitor notes
each time in its bundle (`oci/monitor.py`). Its notes would do for v2, too, but conmon 2.1 looks no
more after the first shortage that ends without a kill.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.cgroup import read_flat
from stackr.runtime.engine.linux.inotify import FileWatch, FileWatches

__all__ = ["watch_oom"]

_log = logging.getLogger(__name__)


async def watch_oom(
    events: Path | None, bundle: Path, watches: FileWatches, tell: Callable[[], None]
) -> None:
    """Until cancelled, or until what is watched has gone. events: the group's file of v2, where
    kills from before are not told; None for the monitor's notes in `bundle`.
    """
    try:
        watch = watches.add(events or bundle)
    except (Unavailable, OSError) as error:
        _log.warning("%s: what the kernel kills is told at the end alone: %s", bundle, error)
        return
    try:
        if events is not None:
            await _tell_of_events(events, watch, tell)
        else:
            await _tell_of_notes(bundle, watch, tell)
    finally:
        watch.close()


async def _tell_of_events(events: Path, watch: FileWatch, tell: Callable[[], None]) -> None:
    known = _kills(events)
    while events.exists():
        await watch.changed()
        if (kills := _kills(events)) > known:
            known = kills
            tell()


async def _tell_of_notes(bundle: Path, watch: FileWatch, tell: Callable[[], None]) -> None:
    """A note is taken away as it is told."""
    note = bundle / "oom"
    while bundle.exists():
        if note.exists():
            note.unlink(missing_ok=True)
            tell()
        await watch.changed()


def _kills(events: Path) -> int:
    return read_flat(events).get("oom_kill", 0)
