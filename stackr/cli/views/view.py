"""What a command shows while a plan runs: the Protocol of a view, and the words for its events.

Progress goes to stderr, so that stdout holds results only; JSON events are results.
"""

from __future__ import annotations

from typing import Protocol

from stackr.cli.views.output import Output
from stackr.executor.events import IN_USE, Event
from stackr.planner.plan.model import Action, Operation, Resource
from stackr.planner.plan.payloads import WaitFor

__all__ = ["View", "doing", "done", "resource_label"]

_READY = {
    "service_started": "Started",
    "service_healthy": "Healthy",
    "service_completed_successfully": "Completed",
}
_STATES = {"healthy": "Healthy", "running": "Started", "exited with code 0": "Completed"}
"""What a wait has seen at last; one word for one state."""


class View(Protocol):
    """Shows events as they come, and lines that belong to no event."""

    def __call__(self, event: Event, /) -> None: ...

    def message(self, text: str) -> None:
        """A line for the reader, above what is drawn live."""
        ...

    def warning(self, text: str) -> None: ...

    def log_output(self, output: Output) -> Output:
        """Where containers' lines meant for `output` go while this view draws."""
        ...

    def close(self) -> None:
        """Nothing more comes; what stays on the screen is drawn for the last time."""
        ...


def resource_label(resource: Resource) -> str:
    """`Container demo-web-1`, `Image nginx:1.27`."""
    return f"{resource.kind.capitalize()} {resource.name}"


def doing(operation: Operation) -> str:
    """`Creating`."""
    return operation.action.doing


def done(operation: Operation, detail: str = "") -> str:
    """`Created`; of a wait, what the container is now: `Healthy`. detail: that of the event."""
    if detail.startswith(IN_USE):
        return "Resource is still in use"
    if operation.action is Action.PUSH_IMAGE and detail:
        return f"{operation.action.done} {detail}"
    if operation.action is Action.WAIT_FOR and isinstance(operation.payload, WaitFor):
        return _STATES.get(detail) or _READY.get(operation.payload.condition, "Ready")
    return operation.action.done
