"""A plan as data: what changes and why (`Change`), and the calls that make it so (`Operation`).

Operations are numbered from 1, and depend on lower numbers only, so that a plan is acyclic by its
form; they are the nodes of its graph, which the executor walks. The same input gives the same text
and the same JSON, byte for byte. Values that look like secrets are masked when a change is made,
never later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from networkx import DiGraph, freeze

from stackr.errors import Internal
from stackr.planner.plan.graph import digraph
from stackr.planner.plan.outlook import Affected, Rollout, Stage
from stackr.planner.plan.payloads import (
    ConnectNetwork,
    CreateContainer,
    DisconnectNetwork,
    Payload,
    RenameContainer,
    WaitFor,
)

__all__ = [
    "JSON_VERSION",
    "Action",
    "Change",
    "FieldChange",
    "Kind",
    "Operation",
    "Origin",
    "Plan",
    "Resource",
    "Risk",
    "RiskLevel",
    "Source",
]

JSON_VERSION = 1


class Action(Enum):
    """One call of the engine. The value is its name in text and JSON."""

    PULL_IMAGE = "pull image"
    BUILD_IMAGE = "build image"
    PUSH_IMAGE = "push image"
    CREATE_NETWORK = "create network"
    REPAIR_NETWORK = "repair network"
    CREATE_VOLUME = "create volume"
    CREATE_CONTAINER = "create container"
    START_CONTAINER = "start container"
    RESTART_CONTAINER = "restart container"
    PAUSE_CONTAINER = "pause container"
    UNPAUSE_CONTAINER = "unpause container"
    UPDATE_CONTAINER = "update container"
    RUN_HOOK = "run hook"
    RUN_STEP = "run step"
    STOP_CONTAINER = "stop container"
    KILL_CONTAINER = "kill container"
    RENAME_CONTAINER = "rename container"
    REMOVE_CONTAINER = "remove container"
    CONNECT_NETWORK = "connect network"
    DISCONNECT_NETWORK = "disconnect network"
    PROMOTE_CONTAINER = "promote container"
    DRAIN_CONTAINER = "drain container"
    MONITOR_CONTAINER = "monitor container"
    CHECK_UPDATE = "check update"
    DELAY = "delay"
    WAIT_FOR = "wait for"
    COMMIT = "commit"
    REMOVE_NETWORK = "remove network"
    REMOVE_VOLUME = "remove volume"
    REMOVE_IMAGE = "remove image"
    CREATE_SERVICE = "create service"
    UPDATE_SERVICE = "update service"
    RESTART_SERVICE = "restart service"
    REMOVE_SERVICE = "remove service"
    CREATE_CONFIG = "create config"
    UPDATE_CONFIG = "update config"
    REMOVE_CONFIG = "remove config"
    CREATE_SECRET = "create secret"
    UPDATE_SECRET = "update secret"
    REMOVE_SECRET = "remove secret"

    @property
    def doing(self) -> str:
        """As in "Container demo-web-1 Creating"."""
        return _VERBS[self][0]

    @property
    def done(self) -> str:
        """As in "Container demo-web-1 Created"."""
        return _VERBS[self][1]


_VERBS: Mapping[Action, tuple[str, str]] = {
    Action.PULL_IMAGE: ("Pulling", "Pulled"),
    Action.BUILD_IMAGE: ("Building", "Built"),
    Action.PUSH_IMAGE: ("Pushing", "Pushed"),
    Action.CREATE_NETWORK: ("Creating", "Created"),
    Action.REPAIR_NETWORK: ("Repairing", "Repaired"),
    Action.CREATE_VOLUME: ("Creating", "Created"),
    Action.CREATE_CONTAINER: ("Creating", "Created"),
    Action.START_CONTAINER: ("Starting", "Started"),
    Action.RESTART_CONTAINER: ("Restarting", "Restarted"),
    Action.PAUSE_CONTAINER: ("Pausing", "Paused"),
    Action.UNPAUSE_CONTAINER: ("Unpausing", "Unpaused"),
    Action.UPDATE_CONTAINER: ("Updating", "Updated"),
    Action.RUN_HOOK: ("Running hook", "Hook done"),
    Action.RUN_STEP: ("Running", "Completed"),
    Action.STOP_CONTAINER: ("Stopping", "Stopped"),
    Action.KILL_CONTAINER: ("Killing", "Killed"),
    Action.RENAME_CONTAINER: ("Renaming", "Renamed"),
    Action.REMOVE_CONTAINER: ("Removing", "Removed"),
    Action.CONNECT_NETWORK: ("Connecting", "Connected"),
    Action.DISCONNECT_NETWORK: ("Disconnecting", "Disconnected"),
    Action.PROMOTE_CONTAINER: ("Promoting", "Promoted"),
    Action.DRAIN_CONTAINER: ("Draining", "Drained"),
    Action.MONITOR_CONTAINER: ("Monitoring", "Monitored"),
    Action.CHECK_UPDATE: ("Updating", "Updated"),
    Action.DELAY: ("Waiting", "Updating"),
    Action.WAIT_FOR: ("Waiting", "Started"),
    Action.COMMIT: ("Committing", "Committed"),
    Action.REMOVE_NETWORK: ("Removing", "Removed"),
    Action.REMOVE_VOLUME: ("Removing", "Removed"),
    Action.REMOVE_IMAGE: ("Removing", "Removed"),
    Action.CREATE_SERVICE: ("Creating", "Created"),
    Action.UPDATE_SERVICE: ("Updating", "Updated"),
    Action.RESTART_SERVICE: ("Restarting", "Restarted"),
    Action.REMOVE_SERVICE: ("Removing", "Removed"),
    Action.CREATE_CONFIG: ("Creating", "Created"),
    Action.UPDATE_CONFIG: ("Updating", "Updated"),
    Action.REMOVE_CONFIG: ("Removing", "Removed"),
    Action.CREATE_SECRET: ("Creating", "Created"),
    Action.UPDATE_SECRET: ("Updating", "Updated"),
    Action.REMOVE_SECRET: ("Removing", "Removed"),
}


class Kind(Enum):
    """What happens to one resource, all in all."""

    CREATE = "create"
    UPDATE = "update"
    RECREATE = "recreate"
    RESTART = "restart"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"
    PULL = "pull"
    BUILD = "build"
    PUSH = "push"
    RUN = "run"
    """A step of `pre_start`, before a service starts."""
    ORPHAN = "orphan"
    """It stays, although the stack file does not have it any more."""


class Origin(Enum):
    """What made the difference: the stack file, or somebody behind stackr's back."""

    FILE = "file"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """What an operation acts on. kind: image, network, volume, container, service or
    stack.

    name: the engine's name of it; a container has its `service` and replica `number` as well.
    """

    kind: str
    name: str
    service: str = ""
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value is written. line and column count from 1; via: how it got there, or ""."""

    file: str
    line: int
    column: int
    via: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f", {self.via}" if self.via else "")

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "column": self.column, "via": self.via}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One attribute: `path` is its place in the service (`environment.LOG_LEVEL`, `ports[0]`).

    old, new: JSON values, secrets masked; None where there is none. is_secret: they were masked.
    forces_recreate: it cannot change in a container that exists. note: why, or how it is meant.
    source: of the new value; None where no file has it.
    """

    path: str
    old: Any = None
    new: Any = None
    forces_recreate: bool = True
    note: str = ""
    is_secret: bool = False
    origin: Origin = Origin.FILE
    source: Source | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "old": self.old,
            "new": self.new,
            "forces_recreate": self.forces_recreate,
            "note": self.note,
            "secret": self.is_secret,
            "origin": self.origin.value,
            "source": self.source.to_json() if self.source is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource, why, and field by field. touched_by: whose change cascades."""

    resource: Resource
    kind: Kind
    cause: str
    fields: tuple[FieldChange, ...] = ()
    origin: Origin = Origin.FILE
    touched_by: tuple[str, ...] = ()
    source: Source | None = None
    """Where the service, network or volume is written."""
    rollout: Rollout | None = None
    """How the service's containers are replaced, where any of them runs."""
    affects: tuple[Affected, ...] = ()
    """The containers that lose their network with this."""

    def to_json(self) -> dict[str, Any]:
        return {
            "resource": _resource_json(self.resource),
            "change": self.kind.value,
            "cause": self.cause,
            "origin": self.origin.value,
            "touched_by": list(self.touched_by),
            "source": self.source.to_json() if self.source is not None else None,
            "fields": [change.to_json() for change in self.fields],
            "rollout": self.rollout.to_json() if self.rollout is not None else None,
            "affects": [each.to_json() for each in self.affects],
        }


class RiskLevel(Enum):
    """What becomes of a risk: a plan with an error is not carried out."""

    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Risk:
    """Something to look at twice. id: stable, from `risk.RISKS`. path: in the stack file."""

    id: str
    path: str
    message: str
    level: RiskLevel = RiskLevel.WARN
    source: Source | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "path": self.path,
            "message": self.message,
            "level": self.level.value,
            "source": self.source.to_json() if self.source is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the engine, made once all of `depends_on` are done.

    is_optional: its failure is told, and skips nothing that depends on it.
    """

    id: int
    action: Action
    resource: Resource
    cause: str
    payload: Payload
    depends_on: tuple[int, ...] = ()
    is_optional: bool = False

    def __str__(self) -> str:
        after = f"[{','.join(map(str, self.depends_on))}] -> " if self.depends_on else ""
        return (
            f"{after}#{self.id} {self.resource} {self.action.value}{self._object()}: {self.cause}"
        )

    def _object(self) -> str:
        match self.payload:
            case CreateContainer(name) | RenameContainer(name=name) if name != self.resource.name:
                return f" as {name}"
            case ConnectNetwork(attachment=attachment):
                return f" {attachment.network}"
            case DisconnectNetwork(network=network):
                return f" {network}"
            case WaitFor(condition=condition):
                return f" {condition}"
            case _:
                return ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "action": self.action.value,
            "resource": _resource_json(self.resource),
            "cause": self.cause,
            "depends_on": list(self.depends_on),
            "optional": self.is_optional,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that brings what is to what should be, in an order that respects dependencies.

    changes: resources in the order in which they are first acted on. warnings: for the user.
    """

    project: str
    operations: tuple[Operation, ...] = ()
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    unchanged: int = field(default=0)
    """How many resources stay as they are."""
    risks: tuple[Risk, ...] = ()
    order: tuple[Stage, ...] = ()
    """The services that stop and start, in the order in which they do."""
    graph: DiGraph[int] = field(init=False, repr=False, compare=False)
    """Operations by number, each node with its `operation`; an edge leads to what waits for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", _graph(self.operations))

    @property
    def is_empty(self) -> bool:
        return not self.operations

    @property
    def is_refused(self) -> bool:
        """Whether the stack's policy makes one of its risks an error."""
        return any(risk.level is RiskLevel.ERROR for risk in self.risks)

    @property
    def summary(self) -> dict[str, int]:
        """How many resources each kind of change befalls, in the order of `Kind`; no zeros."""
        counts = {kind.value: 0 for kind in Kind}
        for change in self.changes:
            counts[change.kind.value] += 1
        return {kind: count for kind, count in counts.items() if count}

    def __str__(self) -> str:
        return "\n".join(str(operation) for operation in self.operations)

    def to_json(self) -> dict[str, Any]:
        """The plan for other programs; `version` counts incompatible changes of this form."""
        return {
            "version": JSON_VERSION,
            "project": self.project,
            "summary": self.summary,
            "unchanged": self.unchanged,
            "changes": [change.to_json() for change in self.changes],
            "operations": [operation.to_json() for operation in self.operations],
            "warnings": list(self.warnings),
            "risks": [risk.to_json() for risk in self.risks],
            "order": [stage.to_json() for stage in self.order],
        }


def _graph(operations: Iterable[Operation]) -> DiGraph[int]:
    """Raises Internal for an operation that waits for one that is not there, or for a later one."""
    graph: DiGraph[int] = digraph({})
    for operation in operations:
        if not all(need in graph for need in operation.depends_on):
            raise Internal(f"plan: operation {operation.id} follows one that is not before it")
        graph.add_node(operation.id, operation=operation)
        graph.add_edges_from((need, operation.id) for need in operation.depends_on)
    freeze(graph)
    return graph


def _resource_json(resource: Resource) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": resource.kind, "name": resource.name}
    if resource.kind == "container":
        value |= {"service": resource.service, "number": resource.number}
    return value
