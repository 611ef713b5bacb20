"""The states of a container and which verb may be used in which; pure.

Source: Docker Engine API, `ContainerState.Status`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from stackr.errors import Conflict, NotModified

__all__ = ["Status", "Verb", "check"]


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
    (Verb.ATTACH, None): "You cannot attach to a paused container, unpause it first",
}
