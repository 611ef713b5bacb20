"""When a dependency is ready: started, healthy, completed, or running and healthy if checked.

One subscription to the engine's events wakes all waits of a plan; a poll covers an engine that
loses an event. The decision itself is pure: `judge` reads one `ContainerState`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from stackr.errors import Conflict, DeadlineExceeded, NotFound, StackrError
from stackr.planner.plan.payloads import WaitFor
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState

__all__ = ["Verdict", "Watch", "judge", "ring", "wait_for"]

_POLL_S = 2.0  # beside events
_POLL_WITHOUT_EVENTS_S = 0.25
_LAST_WORD_S = 10.0
_STEADY_S = 0.5
"""How long a container without a health check has to run: many that cannot work end before that.

Docker Compose looks at it after this time as well.
"""
_MOST_RESTARTS = 7
"""Of a restart policy, which waits twice as long each time: that makes 13 s in all."""
_OUTPUT_SHOWN = 400
_LOOSE = ("", "running", "starting")


@dataclass(frozen=True, slots=True)
class Verdict:
    """ready: the condition holds. error: it never will. Neither: wait on. text: what is seen.

    steady_s: it is ready once it has been so for this time without a restart.
    """

    ready: bool = False
    error: str = ""
    text: str = ""
    steady_s: float = 0


def judge(state: ContainerState, payload: WaitFor) -> Verdict:
    """Whether the condition of `payload` holds for its container now."""
    return _JUDGES[payload.condition](state, payload)


def _started(state: ContainerState, payload: WaitFor) -> Verdict:
    if state.started_at or state.is_running:
        return Verdict(ready=True, text="started")
    return Verdict(text=state.state)


def _healthy(state: ContainerState, payload: WaitFor) -> Verdict:
    if state.state in ("exited", "dead"):
        return Verdict(error=_exited(state, payload))
    if state.state == "restarting":  # of its health, engines tell many things meanwhile
        return _restarting(state, payload)
    if state.health == "healthy":
        steady_s = _STEADY_S if state.restart_count else 0
        return Verdict(ready=True, text="healthy", steady_s=steady_s)
    if state.health == "unhealthy":
        return Verdict(error=_unhealthy(state, payload))
    if not state.health and state.state == "running":
        return Verdict(error=f"{_subject(payload)} has no healthcheck configured")
    return Verdict(text=state.health or state.state)


def _restarting(state: ContainerState, payload: WaitFor) -> Verdict:
    """Its restart policy brings it back: what it needs may come up meanwhile."""
    if state.restart_count < _MOST_RESTARTS:
        return Verdict(text=state.state)
    return Verdict(
        error=f"{_subject(payload)} keeps restarting: it exited ({state.exit_code})"
        f" {state.restart_count} times"
    )


def _running_or_healthy(state: ContainerState, payload: WaitFor) -> Verdict:
    if not state.health and state.state == "running":
        return Verdict(ready=True, text="running", steady_s=_STEADY_S)
    return _healthy(state, payload)


def _completed(state: ContainerState, payload: WaitFor) -> Verdict:
    if state.state not in ("exited", "dead"):
        return Verdict(text=state.state)
    if state.exit_code == 0:
        return Verdict(ready=True, text="exited with code 0")
    name = payload.service or payload.container
    why = " (out of memory)" if state.oom_killed else ""
    return Verdict(
        error=f'service "{name}" didn\'t complete successfully: exit {state.exit_code}{why}'
    )


_JUDGES: dict[str, Callable[[ContainerState, WaitFor], Verdict]] = {
    "service_started": _started,
    "service_healthy": _healthy,
    "service_completed_successfully": _completed,
    "running_or_healthy": _running_or_healthy,
}


def _subject(payload: WaitFor) -> str:
    prefix = "dependency failed to start: " if payload.needed_by else ""
    return f"{prefix}container {payload.container}"


def _exited(state: ContainerState, payload: WaitFor) -> str:
    reason = f": {state.error}" if state.error else ""
    killed = ": out of memory" if state.oom_killed else ""
    return f"{_subject(payload)} exited ({state.exit_code}){killed}{reason}"


def _unhealthy(state: ContainerState, payload: WaitFor) -> str:
    return f"{_subject(payload)} is unhealthy{_last_check(state)}"


def _last_check(state: ContainerState) -> str:
    if state.health_exit_code is None:
        return ""
    output = " ".join(state.health_output.split())
    if len(output) > _OUTPUT_SHOWN:
        output = "..." + output[-_OUTPUT_SHOWN:]
    said = f': "{output}"' if output else " with no output"
    return f": last health check exited {state.health_exit_code}{said}"


class Watch:
    """Wakes whoever waits for a container of one project, at each event of it.

    Nothing is subscribed until the first wait. `close` ends the subscription.
    """

    def __init__(self, runtime: Runtime, project: str) -> None:
        self._runtime = runtime
        self._project = project
        self._bells: dict[str, asyncio.Event] = {}
        self._task: asyncio.Task[None] | None = None
        self._stands = asyncio.Event()
        self.has_events = True

    async def open(self) -> None:
        """Returns once the subscription stands, or could not be made."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        await self._stands.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def bell(self, container: str) -> asyncio.Event:
        """Set at each event of this container (by name), and when events end."""
        return self._bells.setdefault(container, asyncio.Event())

    async def _listen(self) -> None:
        try:
            async for event in self._runtime.events(labels=[f"{labels.PROJECT}={self._project}"]):
                self._stands.set()
                bell = self._bells.get(event.attributes.get("name", ""))
                if bell is not None:
                    bell.set()
        except StackrError:
            pass  # the poll goes on alone; if the engine is gone, the next inspection says so
        finally:
            self.has_events = False
            self._stands.set()
            for bell in self._bells.values():
                bell.set()


async def wait_for(
    runtime: Runtime, payload: WaitFor, watch: Watch, tell: Callable[[str], None]
) -> str:
    """Return what was seen once the condition holds; `tell` hears each other thing seen before.

    Raises Conflict when the condition can never hold, DeadlineExceeded after `timeout_s`.
    """
    seen = ""
    last: ContainerState | None = None
    steadiness = _Steadiness()
    try:
        async with asyncio.timeout(payload.timeout_s):
            await watch.open()
            bell = watch.bell(payload.container)
            while True:
                bell.clear()
                last = await _inspect(runtime, payload)
                verdict = judge(last, payload)
                if verdict.error:
                    raise Conflict(verdict.error)
                left_s = steadiness.left_s(last, verdict)
                if verdict.ready and left_s <= 0:
                    return verdict.text
                if verdict.text != seen:
                    seen = verdict.text
                    tell(seen)
                await ring(bell, watch, left_s if verdict.ready else None)
    except TimeoutError:
        last = await _last_seen(runtime, payload, last)
        if not seen and last is not None:
            seen = judge(last, payload).text
        raise DeadlineExceeded(_late(payload, seen, last)) from None


async def _inspect(runtime: Runtime, payload: WaitFor) -> ContainerState:
    try:
        return await runtime.inspect_container(payload.container)
    except NotFound as error:
        raise Conflict(f"{_subject(payload)} has been removed") from error


async def _last_seen(
    runtime: Runtime, payload: WaitFor, before: ContainerState | None
) -> ContainerState | None:
    """What is to be told of a wait that is over: checks that fail are no events."""
    try:
        async with asyncio.timeout(_LAST_WORD_S):
            return await runtime.inspect_container(payload.container)
    except (StackrError, TimeoutError):
        return before


class _Steadiness:
    """For how long a container has been ready, by the clock of whoever waits for it."""

    def __init__(self) -> None:
        self._run: tuple[float, int] | None = None
        self._since = 0.0

    def left_s(self, state: ContainerState, verdict: Verdict) -> float:
        """How long it still has to be so; 0 or less if that is enough."""
        run = (state.started_at, state.restart_count)
        if not verdict.ready or run != self._run:
            self._run, self._since = run if verdict.ready else None, time.monotonic()
        return self._since + verdict.steady_s - time.monotonic()


async def ring(bell: asyncio.Event, watch: Watch, at_most_s: float | None = None) -> None:
    """Return at the next event, or when it is time to look without one."""
    poll_s = _POLL_S if watch.has_events else _POLL_WITHOUT_EVENTS_S
    poll_s = poll_s if at_most_s is None else min(poll_s, at_most_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(poll_s):
            await bell.wait()


_WANTED = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
    "running_or_healthy": "running or healthy",
}


def _late(payload: WaitFor, seen: str, last: ContainerState | None) -> str:
    check = _last_check(last) if last is not None else ""
    return (
        f"{_subject(payload)} is not {_WANTED[payload.condition]} after {payload.timeout_s:g} s"
        f": it is {seen or 'not seen'}{check}"
    )
