"""One command at a time changes a project: in the engine, for all who use it, or else on this host.

An engine that starts again knows of no lock. Who held one takes it again before those who waited;
if another has it meanwhile, or the engine stays away, the work under the lock is ended with that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime

from stackr.errors import Conflict, Unavailable
from stackr.runtime.protocol import Runtime, SupportsLocks
from stackr.runtime.types import LockHolder
from stackr.stack.file_lock import file_lock
from stackr.text import visible

__all__ = ["project_lock"]

_AGAIN_S = 0.05
_PATIENCE_S = 30.0
_AFTER_HOLDERS_S = 0.5


@contextlib.asynccontextmanager
async def project_lock(
    runtime: Runtime, project: str, *, waiting: Callable[[str], object]
) -> AsyncIterator[None]:
    """Hold the project's lock; `waiting` hears who holds it now.

    In the block, Conflict and Unavailable are raised where the lock is lost for good.
    """
    if runtime.capabilities.locks and isinstance(runtime, SupportsLocks):
        keeper = _Keeper(runtime, project, waiting)
        async with keeper.hold():
            yield
        return
    async with file_lock(await runtime.identity(), project, waiting=waiting):
        yield


class _Keeper:
    """Holds a lock by a task of its own, and takes it again after the engine was away."""

    def __init__(
        self, runtime: SupportsLocks, project: str, waiting: Callable[[str], object]
    ) -> None:
        self._runtime = runtime
        self._project = project
        self._waiting = waiting
        self._held = asyncio.Event()
        self._told: LockHolder | None = None
        self._away_since: float | None = None

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self._keep())
        has_it = asyncio.ensure_future(self._held.wait())
        try:
            await asyncio.wait((task, has_it), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            with _ended_with(task):
                yield
        finally:
            for each in (task, has_it):
                each.cancel()
            await asyncio.gather(task, has_it, return_exceptions=True)

    async def _keep(self) -> None:
        """Never returns. Raises what ends the hope for the lock."""
        while True:
            try:
                async with self._runtime.lock(self._project, _myself(), self._wait) as lost:
                    self._away_since = None
                    self._held.set()
                    await lost()
            except Unavailable as error:
                self._check_patience(error)
            await asyncio.sleep(_AGAIN_S)
            if not self._held.is_set():
                await self._let_holders_go_first()

    def _wait(self, holder: LockHolder) -> None:
        self._away_since = None
        who = f"{_shown(holder)} is changing the project"
        if self._held.is_set():
            raise Conflict(
                f'project "{self._project}": the engine was started again, and {who} now',
                hint="the same command carries on from what is there",
            )
        if holder != self._told:
            self._told = holder
            self._waiting(f'{who} "{self._project}"')

    def _check_patience(self, error: Unavailable) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since > _PATIENCE_S:
            raise error

    async def _let_holders_go_first(self) -> None:
        """Once the engine answers again: they ask for their locks at once."""
        with contextlib.suppress(Unavailable):
            await self._runtime.info()
            await asyncio.sleep(_AFTER_HOLDERS_S)


@contextlib.contextmanager
def _ended_with(keeper: asyncio.Task[None]) -> Iterator[None]:
    """Cancel the block when the keeper fails, whose error is raised then."""
    block = asyncio.current_task()
    assert block is not None
    is_struck = is_over = False

    def strike(done: asyncio.Task[None]) -> None:
        nonlocal is_struck
        if not done.cancelled() and not is_over:
            is_struck = True
            block.cancel()

    keeper.add_done_callback(strike)
    try:
        yield
    except asyncio.CancelledError:
        error = keeper.exception() if is_struck else None
        if error is None or block.uncancel():
            raise
        raise error from None
    finally:
        is_over = True
        keeper.remove_done_callback(strike)


def _myself() -> LockHolder:
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return LockHolder(os.getpid(), user, os.uname().nodename)


def _shown(holder: LockHolder) -> str:
    """`another command (process 12, root@host, since 2026-01-31 14:03:05)`."""
    who = f"process {holder.pid}, {holder.user}@{holder.host}"
    with contextlib.suppress(ValueError):
        since = datetime.fromisoformat(holder.since).astimezone()
        who = f"{who}, since {since:%Y-%m-%d %H:%M:%S}"
    return f"another command ({visible(who, one_line=True)})"
