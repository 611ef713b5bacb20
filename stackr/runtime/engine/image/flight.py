"""Work that several callers need at once, done once: the second waits for the first one's result.

The work goes on as long as one caller waits; it is cancelled with the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = ["SingleFlight"]

_Key = TypeVar("_Key", bound=Hashable)
_Event = TypeVar("_Event")
_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Flight(Generic[_Event, _Result]):
    task: asyncio.Task[_Result] | None = None
    listeners: list[Callable[[_Event], None]] = field(default_factory=list)

    def report(self, event: _Event) -> None:
        for listener in self.listeners:
            listener(event)


class SingleFlight(Generic[_Key, _Event, _Result]):
    """At most one running piece of work per key."""

    def __init__(self) -> None:
        self._flights: dict[_Key, _Flight[_Event, _Result]] = {}
        self._ending: dict[_Key, asyncio.Task[_Result]] = {}

    async def run(
        self,
        key: _Key,
        work: Callable[[Callable[[_Event], None]], Coroutine[Any, Any, _Result]],
        listener: Callable[[_Event], None],
    ) -> _Result:
        """The result of `work`, or of the same work that is under way already.

        work: called with a function that passes an event on to the listener of every caller.
        """
        while (ending := self._ending.get(key)) is not None:
            await asyncio.wait([ending])
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            flight.task = asyncio.create_task(work(flight.report))
            flight.task.add_done_callback(lambda _: self._landed(key))
        task = flight.task
        assert task is not None
        flight.listeners.append(listener)
        try:
            return await asyncio.shield(task)
        finally:
            flight.listeners.remove(listener)
            if not flight.listeners and not task.done():
                await self._cancel(key, task)

    def _landed(self, key: _Key) -> None:
        self._flights.pop(key, None)
        self._ending.pop(key, None)

    async def _cancel(self, key: _Key, task: asyncio.Task[_Result]) -> None:
        """Until it has ended, nobody joins it, and no second one starts."""
        del self._flights[key]
        self._ending[key] = task
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not warn of it
