"""What happened, and when: the plan's steps, the engine's events and the command, in one list."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stackr.errors import StackrError
from stackr.executor.events import Event, OperationFailed, OperationFinished
from stackr.planner.plan.model import Action
from stackr.planner.plan.payloads import PullImage
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import EngineEvent

__all__ = ["Moment", "Timeline", "follow_events"]

_HEALTH = "health_status: "
_WORDS = {
    "start": "started",
    "restart": "restarted",
    "pause": "paused",
    "unpause": "unpaused",
    "destroy": "removed",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """at_s: since the timeline began. service: whose it is, "" for nobody's. is_bad: a failure."""

    at_s: float
    text: str
    service: str = ""
    is_bad: bool = False


class Timeline:
    """Takes events of the plan and of the engine; a sink of the executor."""

    def __init__(self, project: str) -> None:
        self._prefix = f"{project}-"
        self._started_ns = time.time_ns()
        self._moments: list[Moment] = []
        self._failed_waits: set[str] = set()

    @property
    def elapsed_s(self) -> float:
        return (time.time_ns() - self._started_ns) / 1e9

    @property
    def moments(self) -> tuple[Moment, ...]:
        """In the order of their times."""
        return tuple(sorted(self._moments, key=lambda moment: moment.at_s))

    def add(
        self, text: str, *, service: str = "", is_bad: bool = False, at_ns: int | None = None
    ) -> None:
        at_s = self.elapsed_s if at_ns is None else (at_ns - self._started_ns) / 1e9
        self._moments.append(Moment(max(at_s, 0.0), text, service, is_bad))

    def __call__(self, event: Event, /) -> None:
        """A step of the plan; what containers do is told by the engine."""
        match event:
            case OperationFailed(operation=operation):
                name = operation.resource.name.removeprefix(self._prefix)
                if operation.action is Action.WAIT_FOR:
                    if name in self._failed_waits:
                        return  # several may wait for one container
                    self._failed_waits.add(name)
                text = f"{operation.action.value} {name} failed: {event.error.message}"
                services = _services(operation.payload) or (operation.resource.service,)
                self.add(text, service=services[0], is_bad=True)
            case OperationFinished(operation=operation) if operation.action is Action.PULL_IMAGE:
                self.add(f"image {operation.resource.name} pulled in {event.took_s:.1f} s")
            case _:
                return

    def engine_event(self, event: EngineEvent) -> None:
        if event.type != "container":
            return
        attributes = event.attributes
        name = attributes.get("name", event.id[:12]).removeprefix(self._prefix)
        service = attributes.get(labels.SERVICE, "")
        text, is_bad = _told(event.action, attributes.get("exitCode", ""))
        if text:
            at_ns = event.time_ns or None
            self.add(f"{name} {text}", service=service, is_bad=is_bad, at_ns=at_ns)


def _services(payload: object) -> tuple[str, ...]:
    return payload.services if isinstance(payload, PullImage) else ()


def _told(action: str, exit_code: str) -> tuple[str, bool]:
    """The words for an engine's event, and whether it is bad; "" for one that says nothing."""
    if action.startswith(_HEALTH):
        health = action.removeprefix(_HEALTH)
        return f"is {health}", health == "unhealthy"
    if action == "die":
        return f"exited with code {exit_code}", exit_code not in ("0", "")
    if action == "oom":
        return "ran out of memory", True
    return _WORDS.get(action, ""), False


async def follow_events(
    runtime: Runtime,
    project: str,
    takes: Callable[[EngineEvent], None],
    stands: Callable[[], None],
) -> None:
    """Hand on the engine's events of a project until cancelled; `stands` is called once it does.

    An engine that goes away ends it early.
    """
    with suppress(StackrError):
        async for event in runtime.events(labels=[f"{labels.PROJECT}={project}"]):
            stands()
            takes(event)
    stands()
