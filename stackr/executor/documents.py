"""The calls of a plan on an engine that runs replicas itself, and its waits.

All waits of a run share one look at the engine at a time: tasks have no events that every engine
tells, so they are looked at again and again, once for all services.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from stackr.errors import Conflict, DeadlineExceeded, NotFound
from stackr.executor.convergence import Verdict, failed_tasks, judge
from stackr.executor.events import IN_USE
from stackr.executor.walk import Tell
from stackr.planner.plan.model import Operation
from stackr.planner.plan.payloads import (
    AwaitWorkload,
    Commit,
    CreateDocument,
    Payload,
    RemoveDocument,
    RestartWorkload,
    UpdateDocument,
)
from stackr.runtime.types import PullProgress
from stackr.runtime.workloads import ENDED_STATES, DocumentKind, Workloads, WorkloadStatus

__all__ = ["DocumentCalls", "TakenBack"]

_POLL_S = 0.25
_LET_GO_S = 60.0
"""For how long a network, config or secret may still be held by tasks that are ending."""
_LET_GO_POLL_S = 0.5


class TakenBack(Conflict):
    """An update failed, and the engine has brought the former spec back by itself."""


@dataclass(slots=True)
class DocumentCalls:
    """The calls of one run, and what its waits share."""

    engine: Workloads
    project: str
    _look: asyncio.Task[Mapping[str, WorkloadStatus]] | None = None

    async def perform(self, operation: Operation, tell: Tell) -> str:
        """As `walk.Calls`. What should go and is gone is no failure."""
        call: _Call = _CALLS[type(operation.payload)]
        return await call(self, operation.payload, tell) or ""

    async def close(self) -> None:
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)

    async def status(self, name: str) -> WorkloadStatus | None:
        """As it was seen after this call; None for a service that is not there."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._looked())
        return (await asyncio.shield(self._look)).get(name)

    async def _looked(self) -> Mapping[str, WorkloadStatus]:
        await asyncio.sleep(_POLL_S)
        return {each.service: each for each in await self.engine.status(self.project)}


async def _create(calls: DocumentCalls, payload: CreateDocument, tell: Tell) -> None:
    await calls.engine.create(payload.document)


async def _update(calls: DocumentCalls, payload: UpdateDocument, tell: Tell) -> None:
    await calls.engine.update(payload.document, id=payload.id, version=payload.version)


async def _restart(calls: DocumentCalls, payload: RestartWorkload, tell: Tell) -> None:
    await calls.engine.restart(payload.id, version=payload.version)


async def _remove(calls: DocumentCalls, payload: RemoveDocument, tell: Tell) -> str | None:
    """Tasks hold what they use until they have ended, which takes as long as their stop does."""
    deadline = time.monotonic() + _LET_GO_S
    while True:
        try:
            await calls.engine.remove(payload.kind, payload.id, version=payload.version)
        except NotFound:
            return "already gone"
        except Conflict as error:
            if payload.kind is DocumentKind.SERVICE:
                raise
            if time.monotonic() > deadline or not await _is_ending(calls):
                return f"{IN_USE}: {error.message}"
            tell(PullProgress("still held by tasks that end"))
            await asyncio.sleep(_LET_GO_POLL_S)
        else:
            return None


async def _is_ending(calls: DocumentCalls) -> bool:
    """Whether anything of the project is on its way out."""
    return any(
        task.desired_state in ("shutdown", "remove") and task.state not in ENDED_STATES
        for status in await calls.engine.status(calls.project)
        for task in status.tasks
    )


async def _commit(calls: DocumentCalls, payload: Commit, tell: Tell) -> None:
    """Everything before is done; there is nothing to call."""


async def _await(calls: DocumentCalls, payload: AwaitWorkload, tell: Tell) -> str:
    """What was seen at the end.

    Raises Conflict when the service can never be so, DeadlineExceeded after `timeout_s`.
    """
    wait = _Wait(payload, tell)
    try:
        async with asyncio.timeout(payload.timeout_s):
            while True:
                status = await calls.status(payload.name)
                if (seen := wait.ended(status)) is not None:
                    return seen
    except TimeoutError:
        raise DeadlineExceeded(
            f"{wait.subject}: {wait.seen or 'nothing was seen of it'} after {payload.timeout_s:g} s"
        ) from None


class _Wait:
    """For how long a service has been as it is now, by the clock of whoever waits for it."""

    def __init__(self, payload: AwaitWorkload, tell: Tell) -> None:
        self._payload = payload
        self._tell = tell
        self._verdict = Verdict()
        self._since = time.monotonic()
        self._past: frozenset[str] | None = None
        prefix = "dependency failed to start: " if payload.needed_by else ""
        self.subject = f"{prefix}service {payload.name}"

    @property
    def seen(self) -> str:
        return self._verdict.text

    def ended(self, status: WorkloadStatus | None) -> str | None:
        """What is to be told where the wait is over. Raises Conflict."""
        if status is None:
            if self._payload.is_gone:
                return "gone"
            raise Conflict(f"{self.subject} has been removed")
        if self._past is None:
            self._past = failed_tasks(status)
        verdict = self._gone(status) if self._payload.is_gone else judge(status, self._past)
        if verdict != self._verdict:
            if verdict.text and verdict.text != self._verdict.text:
                self._tell(PullProgress(verdict.text))
            self._verdict, self._since = verdict, time.monotonic()
        if time.monotonic() - self._since < verdict.steady_s:
            return None
        if verdict.error:
            kind = TakenBack if verdict.is_taken_back else Conflict
            raise kind(f"{self.subject}: {verdict.error}")
        return verdict.text if verdict.ready else None

    def _gone(self, status: WorkloadStatus) -> Verdict:
        left = sum(task.state not in ENDED_STATES for task in status.tasks)
        return Verdict(ready=not left, text=f"{left} still running" if left else "ended")


_Call: TypeAlias = Callable[[DocumentCalls, Any, Tell], Awaitable[str | None]]

_CALLS: dict[type[Payload], _Call] = {
    CreateDocument: _create,
    UpdateDocument: _update,
    RestartWorkload: _restart,
    RemoveDocument: _remove,
    AwaitWorkload: _await,
    Commit: _commit,
}
