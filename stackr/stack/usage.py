"""What containers use, as the engine measures it: the latest reading of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

from stackr.errors import Conflict, NotFound
from stackr.runtime.protocol import SupportsStats
from stackr.runtime.types import ContainerStats

__all__ = ["UsageReaders"]


class UsageReaders:
    """One task a container, which keeps its latest reading in `latest`, by the container's ID."""

    def __init__(self, runtime: SupportsStats) -> None:
        self.latest: dict[str, ContainerStats] = {}
        self._runtime = runtime
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def follow(self, refs: Collection[str]) -> None:
        """Read these containers and no others; raises what a reader failed with."""
        for ref in self._tasks.keys() - set(refs):
            self._tasks.pop(ref).cancel()
            self.latest.pop(ref, None)
        for ref in refs:
            task = self._tasks.get(ref)
            if task is not None and task.done():
                task.result()
            if task is None or task.done():
                self._tasks[ref] = asyncio.create_task(self._read(ref))

    async def _read(self, ref: str) -> None:
        with contextlib.suppress(NotFound, Conflict):
            async for reading in self._runtime.stats(ref):
                self.latest[ref] = reading

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
