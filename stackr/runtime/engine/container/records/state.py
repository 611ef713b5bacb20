"""The states of a container: which verb may be used in which, and where each event leads; pure.

`Store.advance` is the only writer. Source: Docker Engine API, `ContainerState.Status`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from stackr.errors import Conflict, Internal, NotModified

__all__ = ["Event", "Status", "Verb", "after", "check", "leaves_no_process", "settles"]


class Status(StrEnum):
    """`creating` exists in the records only: a create that has not finished."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"

    @property
    def is_up(self) -> bool:
        """Processes exist."""
        return self in (Status.RUNNING, Status.PAUSED)


class Verb(StrEnum):
    START = "start"
    STOP = "stop"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    EXEC = "exec"
    ATTACH = "attach"
    PROMOTE = "promote"
    COUNT = "count connections"
    TOP = "top"
    RESIZE = "resize"


class Event(StrEnum):
    """What happens to a container. START, STOP and REMOVE are begun; the others have happened."""

    MADE = "made"
    START = "start"
    STARTED = "started"
    START_FAILED = "start failed"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOP = "stop"
    ENDED = "ended"
    RESTARTS = "ended, to be started again"
    RESTART_CANCELLED = "restart cancelled"
    CUT_OFF = "a start that was cut off is undone"
    REMOVE = "remove"


def _same(*each: Status) -> dict[Status, Status]:
    return {status: status for status in each}


_AFTER: Mapping[Event, Mapping[Status, Status]] = {
    Event.MADE: {Status.CREATING: Status.CREATED},
    Event.START: _same(Status.CREATED, Status.EXITED, Status.RESTARTING),
    Event.STARTED: dict.fromkeys(
        (Status.CREATED, Status.EXITED, Status.RESTARTING), Status.RUNNING
    ),
    Event.START_FAILED: {
        **_same(Status.CREATED, Status.EXITED),
        Status.RESTARTING: Status.EXITED,
    },
    Event.PAUSED: {Status.RUNNING: Status.PAUSED},
    Event.RESUMED: {Status.PAUSED: Status.RUNNING},
    Event.STOP: _same(Status.RUNNING, Status.PAUSED, Status.RESTARTING),
    Event.ENDED: dict.fromkeys((Status.RUNNING, Status.PAUSED), Status.EXITED),
    Event.RESTARTS: dict.fromkeys((Status.RUNNING, Status.PAUSED), Status.RESTARTING),
    Event.RESTART_CANCELLED: {Status.RESTARTING: Status.EXITED},
    Event.CUT_OFF: {
        **_same(Status.CREATED, Status.EXITED),
        **dict.fromkeys((Status.RUNNING, Status.PAUSED, Status.RESTARTING), Status.EXITED),
    },
    Event.REMOVE: dict.fromkeys(
        (Status.CREATING, Status.CREATED, Status.EXITED, Status.REMOVING, Status.DEAD),
        Status.REMOVING,
    ),
}
_UNDER_WAY = frozenset({Event.START, Event.STOP, Event.REMOVE, Event.PAUSED, Event.RESUMED})
_WITHOUT_PROCESS = frozenset({Event.START_FAILED, Event.ENDED, Event.RESTARTS, Event.CUT_OFF})


def after(status: Status, event: Event) -> Status:
    """The state that an event leads to. Raises Internal where it cannot happen in this one."""
    try:
        return _AFTER[event][status]
    except KeyError:
        raise Internal(f"container: {event}: not in state {status}") from None


def settles(event: Event) -> bool:
    """Whether nothing is left to be done of what the record said was to be."""
    return event not in _UNDER_WAY


def leaves_no_process(event: Event) -> bool:
    return event in _WITHOUT_PROCESS


_ALLOWED: Mapping[Verb, frozenset[Status]] = {
    Verb.START: frozenset({Status.CREATED, Status.EXITED, Status.RESTARTING}),
    Verb.STOP: frozenset({Status.RUNNING, Status.PAUSED, Status.RESTARTING}),
    Verb.KILL: frozenset({Status.RUNNING, Status.PAUSED}),
    Verb.PAUSE: frozenset({Status.RUNNING}),
    Verb.UNPAUSE: frozenset({Status.PAUSED}),
    Verb.EXEC: frozenset({Status.RUNNING}),
    Verb.ATTACH: frozenset({Status.RUNNING, Status.CREATED, Status.EXITED, Status.RESTARTING}),
    Verb.PROMOTE: frozenset({Status.RUNNING}),
    Verb.COUNT: frozenset({Status.RUNNING, Status.PAUSED}),
    Verb.TOP: frozenset({Status.RUNNING, Status.PAUSED}),
    Verb.RESIZE: frozenset({Status.RUNNING, Status.PAUSED}),
}


def check(status: Status, verb: Verb, *, id: str, name: str) -> None:
    """Raise, with Docker's text, where `verb` does not fit `status`.

    NotModified where there is nothing to do (start of a running, stop of a stopped container),
    Conflict otherwise.
    """
    if status in _ALLOWED[verb]:
        return
    if verb is Verb.START and status is Status.RUNNING:
        raise NotModified(f"container {id} is already running")
    if verb is Verb.STOP and status in (Status.CREATED, Status.EXITED):
        raise NotModified(f"container {id} is already stopped")
    raise Conflict(_refusal(status, verb, id, name))


def _refusal(status: Status, verb: Verb, id: str, name: str) -> str:
    if status in (Status.REMOVING, Status.DEAD, Status.CREATING):
        return f"Container {id} is marked for removal and cannot be used: {verb}"
    if verb is Verb.KILL:
        return f"cannot kill container: {name}: container {id} is not running"
    text = _TEXTS.get((verb, status)) or _TEXTS.get((verb, None)) or "Container {id} is not running"
    return text.format(id=id)


_RESTARTING = "Container {id} is restarting, wait until the container is running"
_TEXTS: Mapping[tuple[Verb, Status | None], str] = {
    (Verb.START, None): "cannot start a paused container, try unpause instead",
    (Verb.PAUSE, Status.PAUSED): "Container {id} is already paused",
    (Verb.PAUSE, Status.RESTARTING): _RESTARTING,
    (Verb.UNPAUSE, None): "Container {id} is not paused",
    (Verb.EXEC, Status.PAUSED): "container {id} is paused, unpause the container before exec",
    (Verb.EXEC, Status.RESTARTING): _RESTARTING,
    (Verb.EXEC, None): "container {id} is not running",
    (
        Verb.PROMOTE,
        Status.PAUSED,
    ): "container {id} is paused, unpause the container before it takes over",
    (Verb.PROMOTE, Status.RESTARTING): _RESTARTING,
    (Verb.COUNT, Status.RESTARTING): _RESTARTING,
    (Verb.TOP, Status.RESTARTING): _RESTARTING,
    (Verb.TOP, None): "container {id} is not running",
    (Verb.RESIZE, None): "container {id} is not running",
    (Verb.ATTACH, None): "You cannot attach to a paused container, unpause it first",
}
