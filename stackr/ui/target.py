"""Which stack the dashboard is about, and the ways in which it is reached."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from stackr.stack.events import Report
from stackr.stack.live import LiveStack
from stackr.stack.source import Source
from stackr.stack.stack import Stack

__all__ = ["Shell", "Target"]

Shell = Callable[[str, int], Sequence[str]]
"""The command line for a shell in a service's container, by the service and its number."""


@dataclass(frozen=True, slots=True)
class Target:
    """shell: see `Shell`. open: the stack on its engine; as `Stack.open`.

    stackr's own engine is started once, as `up` does, and by what changes something; somebody who
    stops it meanwhile wants it stopped.
    """

    stack: Stack
    shell: Shell
    _opened: Iterator[int] = field(default_factory=itertools.count)

    @property
    def name(self) -> str:
        return self.stack.name

    @property
    def source(self) -> Source:
        return self.stack.source

    @asynccontextmanager
    async def look(self) -> AsyncIterator[LiveStack]:
        """The stack, to look at it."""
        is_first = next(self._opened) == 0
        async with self.stack.open(read_only=True, start=is_first) as live:
            yield live

    def change(self, report: Report) -> AbstractAsyncContextManager[LiveStack]:
        """The stack, to change it."""
        return self.stack.open(report=report)
