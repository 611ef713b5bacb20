"""Who may change a project now, and who comes next: one queue a project, first come first served.

A lock is held by a client as long as its call lasts, and is no record: an engine that starts knows
of none, and clients that held one ask again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Entry", "Holder", "ProjectLocks"]


@dataclass(frozen=True, slots=True)
class Holder:
    """The client, as it describes itself. since_ns: Unix time at which the lock became its own."""

    pid: int
    user: str
    host: str
    since_ns: int = 0


@dataclass(eq=False, slots=True)
class Entry:
    """One client's place in the queue of its project; `turn` is set once it holds the lock."""

    holder: Holder
    turn: asyncio.Event = field(default_factory=asyncio.Event)


class ProjectLocks:
    """Used on the event loop alone."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Entry]] = {}

    @contextlib.contextmanager
    def entry(self, project: str, holder: Holder) -> Iterator[Entry]:
        """A place at the end of the queue; it is given up with the block, had or waited for."""
        queue = self._queues.setdefault(project, deque())
        entry = Entry(holder)
        queue.append(entry)
        queue[0].turn.set()
        try:
            yield entry
        finally:
            queue.remove(entry)
            if queue:
                queue[0].turn.set()
            else:
                del self._queues[project]

    def is_held(self, project: str) -> bool:
        """Whether a command changes it now."""
        return project in self._queues

    def first(self, project: str) -> Entry:
        """Who holds it. Raises KeyError where nobody does."""
        return self._queues[project][0]
