"""Tells at once that the kernel has killed one of a container's processes for want of memory.

The monitor notes each time in its bundle (`monitor.py`); the container may well go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.inotify import FileWatches

__all__ = ["watch_oom"]

_log = logging.getLogger(__name__)


async def watch_oom(bundle: Path, watches: FileWatches, tell: Callable[[], None]) -> None:
    """Until cancelled, or until the bundle has gone; the note is taken away as it is told."""
    note = bundle / "oom"
    try:
        watch = watches.add(bundle)
    except (Unavailable, OSError) as error:
        _log.warning("%s: what the kernel kills is told at the end alone: %s", bundle, error)
        return
    try:
        while bundle.exists():
            if note.exists():
                note.unlink(missing_ok=True)
                tell()
            await watch.changed()
    finally:
        watch.close()
