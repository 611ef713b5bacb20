"""A container as the running daemon holds it: its record, its lock, who waits for it, its tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from stackr.runtime.engine.container.io.json_writer import JsonWriter
from stackr.runtime.engine.container.io.stream import PendingStream
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.restart import Backoff
from stackr.runtime.engine.linux.launcher_client import Launched, kill_launched
from stackr.runtime.engine.linux.process import Process

__all__ = ["Live", "Tasks", "Waiters"]


class Waiters:
    """Futures that one event resolves together."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[int]] = set()

    def future(self) -> asyncio.Future[int]:
        """Of the next event's value; an event right after this call counts."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.join(future)
        return future

    def join(self, future: asyncio.Future[int]) -> None:
        """Resolve that future by the next event, too."""
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def resolve(self, value: int) -> None:
        for future in list(self._futures):
            if not future.done():
                future.set_result(value)


class Tasks:
    """Background tasks that are kept until they end, and cancelled together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@dataclass(slots=True)
class Live:
    """lock: held while processes are made or cleared away, never while waiting for them to end.

    exited: each end; stopped: an end without a restart; removed: the record is gone.
    pending: consoles that were attached ahead of the next start.
    had_oom: that the kernel killed for want of memory in this run has been told.
    healthy_since_s: from which uptime on all probes of this daemon have been good.
    log: what writes its log, where a driver does; logging: its task, while the container runs.
    copies: processes that copy files from or to it, each with a mount of its root file system.
    """

    container: Container
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    exited: Waiters = field(default_factory=Waiters)
    stopped: Waiters = field(default_factory=Waiters)
    removed: Waiters = field(default_factory=Waiters)
    backoff: Backoff = field(default_factory=Backoff)
    monitor: Process | None = None
    restart: asyncio.Task[None] | None = None
    health: asyncio.Task[None] | None = None
    oom: asyncio.Task[None] | None = None
    had_oom: bool = False
    healthy_since_s: float | None = None
    remove_on_exit: bool = True
    pending: list[PendingStream] = field(default_factory=list)
    copies: list[Launched] = field(default_factory=list)
    log: JsonWriter | None = None
    logging: asyncio.Task[None] | None = None

    async def settled(self) -> None:
        """Return once a start under way has ended: its program may be seen before it has."""
        if self.container.intent == "start" and self.lock.locked():
            async with self.lock:
                pass

    async def end_copies(self) -> None:
        """An overlay must not be mounted again, nor removed, while a copy still has it."""
        copies, self.copies = self.copies, []
        for launched in copies:
            await kill_launched(launched)

    def fail_pending(self) -> None:
        """Whoever attached ahead of a start learns that there is none."""
        while self.pending:
            self.pending.pop().fail()
