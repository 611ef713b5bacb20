"""The event bus behind `GET /events`: what happened to which resource, and when.

Source: Docker Engine API, `SystemEventsResponse` (types, actions and attributes are Docker's).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

__all__ = ["Event", "EventBus"]

_KEPT_EVENTS = 256  # as dockerd's ring buffer: what `?since=` can still see
_QUEUED_EVENTS = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """type: container, image, network, volume or daemon; time_ns: since the epoch."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time_ns: int = 0


class EventBus:
    """Publishes to every subscriber on the event loop; keeps the last 256 for late ones."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=_KEPT_EVENTS)
        self._queues: set[asyncio.Queue[Event]] = set()
        self.published = 0
        """How many so far."""

    def publish(
        self, type: str, action: str, id: str, attributes: Mapping[str, str] | None = None
    ) -> Event:
        """On the event loop's thread. A subscriber that does not read loses its oldest events."""
        event = Event(type, action, id, dict(attributes or {}), time.time_ns())
        self._kept.append(event)
        self.published += 1
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)
        return event

    @property
    def subscribers(self) -> int:
        return len(self._queues)

    def kept(self) -> list[Event]:
        """The newest events, oldest first."""
        return list(self._kept)

    async def subscribe(self, *, since_ns: int | None = None) -> AsyncGenerator[Event, None]:
        """Events from now on, after the kept ones not older than `since_ns` where that is given."""
        queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUED_EVENTS)
        past = [e for e in self._kept if since_ns is not None and e.time_ns >= since_ns]
        self._queues.add(queue)
        try:
            for event in past:
                yield event
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)
