"""Gives back to the kernel what a burst of work has freed.

libc gives back by itself only what is free at the heap's very end. What thousands of clients had in
buffers lies below what others still have, and stays the daemon's for good. Source: malloc_trim(3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stackr.runtime.engine.linux.syscalls import trim_heap

__all__ = ["HeapTrim"]

_AFTER_S = 5.0


class HeapTrim:
    """Used on the event loop; `trim` runs in a thread, as it may take a while."""

    def __init__(self, trim: Callable[[], None] = trim_heap, *, after_s: float = _AFTER_S) -> None:
        self._trim = trim
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def worked(self) -> None:
        """Something was done: in a while, what it took is given back, with what came meanwhile."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._after_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(asyncio.to_thread(self._trim))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
