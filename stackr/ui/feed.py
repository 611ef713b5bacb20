"""Follows a stack on its engine: containers by events, what they use, what they write.

An engine that is gone is tried again, at longer and longer intervals, until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, TypeAlias

from stackr.errors import NotSupported, StackrError, Unavailable
from stackr.runtime.types import ContainerState, ContainerStats
from stackr.stack.live import LiveStack
from stackr.stack.log_lines import LogLine
from stackr.stack.log_request import LogRequest
from stackr.ui.log_buffer import LogBuffer

__all__ = ["Feed", "Opener", "Viewer", "one_line"]

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[LiveStack]]
"""Opens the stack on its engine, to look at it; raises StackrError where nothing answers."""

_TOGETHER_S = 0.1
_FIRST_LINES = 200
_WAIT_S, _LONGEST_WAIT_S = 1.0, 10.0


class Viewer(Protocol):
    """Is told what is seen; each call returns at once."""

    def saw(self, containers: Sequence[ContainerState]) -> None:
        """All containers of the stack as they are now."""
        ...

    def used(self, usage: dict[str, ContainerStats]) -> None:
        """What those that run use, by ID."""
        ...

    def wrote(self, line: LogLine) -> None:
        """A container has written this, which is in the buffer now."""
        ...

    def lost(self, reason: str) -> None:
        """The engine does not answer; it is tried again."""
        ...


def one_line(error: StackrError) -> str:
    """An error and its way out."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


@dataclass(slots=True)
class Feed:
    """log: where lines go. running: the IDs of the containers that run."""

    opened: Opener
    viewer: Viewer
    log: LogBuffer
    running: set[str] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> NoReturn:
        """Follow the engine until this is cancelled.

        Raises NotSupported for an engine that can never be followed.
        """
        wait_s = _WAIT_S
        while True:
            is_open, refused = False, None
            try:
                async with self.opened() as live:
                    is_open, wait_s = True, _WAIT_S
                    await self._follow(live)
            except* StackrError as group:
                self.running.clear()
                error = _first(group)
                if isinstance(error, NotSupported) and not is_open:
                    refused = error
                else:
                    self.viewer.lost(one_line(error))
            if refused is not None:
                raise refused
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _follow(self, live: LiveStack) -> None:
        """Until the engine is gone, which is raised as a group of errors."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear(live))
            tasks.create_task(self._look(live))
            tasks.create_task(self._measure(live))
            tasks.create_task(self._read(live))

    async def _hear(self, live: LiveStack) -> None:
        async for event in live.events():
            if event.action.startswith("exec_"):
                continue  # health checks: their result is an event of its own
            self._changed.set()
            if event.action == "start":
                self._started.set()
        raise Unavailable("engine: it has closed the connection")

    async def _look(self, live: LiveStack) -> None:
        """List the containers once the events are heard, and after each batch of them."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            containers = await live.ps(all=True)
            self.running.clear()
            self.running |= {each.id for each in containers if each.is_running}
            self.viewer.saw(containers)
            await asyncio.sleep(_TOGETHER_S)

    async def _measure(self, live: LiveStack) -> None:
        with contextlib.suppress(NotSupported):
            async for usage in live.usage(self.running):
                self.viewer.used(usage)

    async def _read(self, live: LiveStack) -> None:
        """Follow the logs; where all containers have ended, from the next start on."""
        while True:
            self._started.clear()
            since = self.log.begin()
            tail = _FIRST_LINES if since is None else None
            async for line in live.logs(LogRequest(follow=True, tail=tail, since=since)):
                if self.log.take(line):
                    self.viewer.wrote(line)
            await self._started.wait()


def _first(group: BaseExceptionGroup[StackrError]) -> StackrError:
    """One of its errors: one engine is gone, and each task has found out."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StackrError)
    return error
