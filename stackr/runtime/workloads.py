"""The second seam: engines that run replicas themselves, as Swarm and Kubernetes do.

Behind `protocol.Runtime` stackr makes each container; behind `Workloads` it writes down what shall
be, as documents, and the engine makes the containers, moves them between nodes and replaces them.
This text is for whoever builds such an engine, and says "Kubernetes" where Swarm leaves a question
open. A back-end is:

* a *dialect*, pure, in the planner (`planner/swarm` is one; `planner.workloads.dialect.Dialect` is
  what it has to be; its line is in `planner/dialects.py`): it renders a stack file to documents,
  refuses by name what its engine cannot do, and knows when two specs mean the same. `Workloads`
  names it in `dialect`; nobody else asks which engine it is. What an attribute means there is said
  at its field in `spec/model`, in the words of `spec/attribute.py`.
* this Protocol, over whatever its API speaks. It decides nothing: it carries documents to the
  engine and brings back what the engine says, and `spec` is opaque to all but the dialect.
* its kind in `runtime/engine_names.py`, and how it is opened in `runtime/connect.py`.
* what it may import, in `tests/unit/test_imports.py`.

An order to do it in: the dialect's `render` (judged by tests like those of
`unit/planner/swarm`), `observe` and `create`, until each file of `tests/compose_cases` that it can
run is sent, read back, and found without a difference; then `update` and `status`, with which `up`
waits; the rest serves single commands. `integration/swarm` tells what real engines are asked.

What a document is:

* **One thing of the stack file, not of the API.** A service may be several objects there (a
  Deployment, a Service, claims for volumes). The back-end makes, finds and removes them together,
  the one on which the others depend last, and first at a removal; `id` and `version` are those of
  the main one, whose labels are the document's. One that is half made, as a call was cut off, shows
  as different from what is wanted, and the next `up` makes it whole.
* **Kinds are those of the stack file**; a dialect that has no use for one renders none of it
  (networks, where every pod reaches every other; what keeps them apart is then a document of that
  kind).
* **A changed config or secret is another one**, by a hash in its name, also where the engine could
  change it: so do tasks move with it, and revisions keep theirs.

What a task is: **one try to run a replica**, on one node. An engine that starts a container again
in its place, as in a pod, has a task for each try (its own ID, say the pod's with the count): three
that failed are how a service is given up. `slot` is a number that the engine keeps for a replica's
successor, or 0. `is_current` goes by the newest template (a ReplicaSet's hash), `running` means
ready to serve where there is a check (else `starting`), `pending` with an `error` that it has no
place. An update that the engine calls stuck (a deadline that has passed) is `paused`.

What every back-end promises:

* **A document is found by its labels and kind**, never by a prefix of its name. What has not the
  project's label belongs to others, and no call touches it.
* **Optimistic lock.** Each observed document has a `version`, a number that is compared for being
  the same and for nothing else, and moves with whatever else may change (a resourceVersion).
  `update` and `remove` take the one that was observed, and raise Conflict, with nothing changed,
  where the document has moved on since. A saved plan is safe by this.
* **No update without a difference.** An update that says what is there already is not harmless
  (Swarm forgets its previous spec, Kubernetes starts managing fields), so the planner plans none,
  and a back-end never sends one of its own: not to refresh a label, not to wait.
* **Names, not IDs.** A document refers to other documents by name. Where the API wants an ID, the
  back-end puts it in at the moment of the call; in what it brings back, IDs stay as the engine has
  them, and `Observation.names` says whose they are.
* **What the engine counts by itself is kept.** An update carries over, from the spec that is there,
  such counters as Swarm's `ForceUpdate`; else it would restart what did not change.
* **Order is the planner's.** A call returns once the engine has taken the document, not when its
  replicas run; `status` is for that.
* **Errors** are those of the `StackrError` tree alone: NotFound, AlreadyExists for a name that is
  taken, Conflict for a moved version or a document that is in use, InvalidArgument with the
  engine's words for a spec that it refuses, Unavailable for an engine out of reach or without a
  leader, PermissionDenied. A call that was cut off may have been carried out: observe again.

Times are Unix seconds, 0 for never, unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from stackr.runtime.types import Closing, EngineInfo

if TYPE_CHECKING:
    from stackr.runtime.protocol import Runtime

__all__ = [
    "ENDED_STATES",
    "FAILED_STATES",
    "Document",
    "DocumentKind",
    "Expiry",
    "NodeState",
    "Observation",
    "ObservedDocument",
    "RevisionRecord",
    "SupportsNodeEngines",
    "TaskLogEntry",
    "TaskState",
    "UpdateState",
    "WorkloadCapabilities",
    "WorkloadEvent",
    "WorkloadStatus",
    "Workloads",
]


FAILED_STATES = frozenset({"failed", "rejected", "orphaned"})
"""Of tasks that did not do what they should."""
ENDED_STATES = FAILED_STATES | {"complete", "shutdown", "remove"}
"""Of tasks that run no more, for whichever reason."""


class DocumentKind(Enum):
    """What a document is about; the value is its name in plans. Volumes are part of services."""

    NETWORK = "network"
    CONFIG = "config"
    SECRET = "secret"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Document:
    """One thing that the engine shall have.

    name: the engine's. key: the stack file's (`services.KEY`). spec: JSON values in the dialect's
    normal form, without name and labels, which the back-end puts where its API has them. content:
    of a config or secret, which is not in the spec; None for others. hash: of spec, labels and
    content, in hex; equal for documents that mean the same. labels: those of the document itself,
    the project's among them.
    """

    kind: DocumentKind
    name: str
    key: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = field(default=None, repr=False)
    hash: str = ""


@dataclass(frozen=True, slots=True)
class UpdateState:
    """How far the engine is with a document's last update.

    state: "" for none, updating, paused, completed, rollback_started, rollback_paused or
    rollback_completed. As soon as a rollback starts, the observed spec may be the former one: only
    the document's labels say whose it is.
    """

    state: str = ""
    message: str = ""
    started_at: float = 0
    completed_at: float = 0


@dataclass(frozen=True, slots=True)
class ObservedDocument:
    """A document as the engine has it now.

    id: the engine's own. version: of the optimistic lock. spec: as the engine tells it, without
    name and labels, nothing normalised. has_previous: the engine keeps the spec before this one.
    content: of a config; None for a secret, of which no engine tells it, and for others.
    """

    kind: DocumentKind
    name: str
    id: str
    version: int
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    has_previous: bool = False
    update: UpdateState = UpdateState()
    content: bytes | None = field(default=None, repr=False)
    created_at: float = 0
    updated_at: float = 0


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """A stack as it was brought up once; kept by the engine, where all of its clients find it.

    number: from 1. content: what the planner wrote, opaque here; it does not change. labels: do.
    """

    project: str
    number: int
    content: bytes = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a project is to go. at: Unix seconds. with_volumes: what its tasks have there, too.

    The engine only keeps it, where all of its clients see it; it is for them to take away what has
    had its time.
    """

    project: str
    at: float
    with_volumes: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What the engine has of a project, read once; two calls of the API may differ by a moment.

    documents: all that have the project's label, those of one that is made of no stack file too.
    others: documents that were asked for by name and are not the project's (external networks,
    configs, secrets); those that are missing are left out. names: by ID, of all to which the
    documents' specs refer by ID. revisions: by number.
    """

    project: str
    documents: tuple[ObservedDocument, ...] = ()
    others: tuple[ObservedDocument, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    revisions: tuple[RevisionRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskState:
    """One replica on one node, or one that was.

    service: the document's name. slot: from 1; 0 where there is one a node. node: its name, "" for
    none yet. state, desired_state: new, pending, assigned, accepted, preparing, starting, running,
    complete, shutdown, failed, rejected, remove, orphaned. message: the engine's word on the state
    ("started"). error: why it failed or cannot be placed, "" else. is_current: it was made from the
    document's spec as that is now. exit_code: of an ended one that had a container. at: when it
    came to its state.
    """

    id: str
    service: str
    slot: int = 0
    node: str = ""
    node_id: str = ""
    state: str = "new"
    desired_state: str = "running"
    message: str = ""
    error: str = ""
    image: str = ""
    container_id: str = ""
    exit_code: int | None = None
    is_current: bool = True
    created_at: float = 0
    at: float = 0
    ports: tuple[tuple[int, int, str], ...] = ()
    """(published, target, protocol) on the node itself."""


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """How many replicas of a service there are and shall be; its tasks, newest first.

    running: of any spec. completed: of a job, in its newest run. desired: of a job, what completes
    it. is_job: its tasks end.
    """

    service: str
    desired: int = 0
    running: int = 0
    completed: int = 0
    is_job: bool = False
    version: int = 0
    update: UpdateState = UpdateState()
    tasks: tuple[TaskState, ...] = ()
    ports: tuple[tuple[int, int, str], ...] = ()
    """(published, target, protocol) on every node; those of one node are its task's."""


@dataclass(frozen=True, slots=True)
class TaskLogEntry:
    """One line of one task's output, without its line end. time_ns: 0 if not asked for."""

    service: str
    task: str
    slot: int
    node: str
    stream: str
    line: bytes
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class WorkloadEvent:
    """Something happened to a document or a node. kind: service, network, config, secret, node."""

    kind: str
    action: str
    id: str
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class NodeState:
    """A machine of the cluster. state: ready, down, unknown; availability: active, pause, drain."""

    id: str
    name: str
    address: str = ""
    role: str = "worker"
    is_leader: bool = False
    state: str = "ready"
    availability: str = "active"
    os: str = ""
    architecture: str = ""
    engine_version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkloadCapabilities:
    """What the dialect has to know of an engine to render for it, and nobody else asks.

    api: (major, minor) of what it speaks. nodes: how many can take tasks; 0 for unknown.
    """

    api: tuple[int, int] = (0, 0)
    nodes: int = 0


@runtime_checkable
class Workloads(Closing, Protocol):
    """An engine that is open for calls; use it as an async context manager, or call `close`."""

    dialect: str
    """The planner's name of the documents that it takes: "swarm"."""
    capabilities: WorkloadCapabilities

    async def identity(self) -> str:
        """The cluster's own ID: the same from each of its nodes."""
        ...

    async def info(self) -> EngineInfo: ...

    async def nodes(self) -> list[NodeState]: ...

    async def projects(self) -> list[str]:
        """The projects of which there are documents, sorted."""
        ...

    async def taken_ports(self, *, besides: str) -> frozenset[tuple[int, str]]:
        """(port, protocol) that services publish, on every node or on their tasks' own.

        besides: a project whose services do not count. Those of whatever else has ports on the
        nodes are not known.
        """
        ...

    async def observe(
        self, project: str, *, names: Sequence[tuple[DocumentKind, str]] = ()
    ) -> Observation:
        """All of a project; nothing is changed. names: others to look for, by kind and name."""
        ...

    async def create(self, document: Document) -> str:
        """The new document's ID. Raises AlreadyExists for a name that is taken."""
        ...

    async def update(self, document: Document, *, id: str, version: int) -> None:
        """Make the document with this ID be as given.

        Of a config or secret its labels alone can change, of a network nothing: InvalidArgument.
        Raises Conflict where its version is not `version` any more, and has then changed nothing.
        """
        ...

    async def remove(self, kind: DocumentKind, id: str, *, version: int | None = None) -> None:
        """Returns when it is gone from the engine's records; its tasks may still be ending.

        One that is gone already is fine. Raises Conflict for a network, config or secret in use,
        and where it has moved on from `version`, if one is given (by a look just before, where the
        engine's own removal knows no versions).
        """
        ...

    async def restart(self, id: str, *, version: int) -> None:
        """New tasks of the very same spec, as its update rules say. Raises as `update`."""
        ...

    async def status(self, project: str, *, services: Sequence[str] = ()) -> list[WorkloadStatus]:
        """Of the documents' names, () for all, sorted by name, with their tasks."""
        ...

    def logs(
        self,
        service: str,
        *,
        task: str = "",
        follow: bool = False,
        tail: int | None = None,
        since: float | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[TaskLogEntry]:
        """Lines of all the tasks of a document's ID or name, of each node; order is a task's own.

        task: of this one alone. tail: the last so many of each task, None for all.
        """
        ...

    def events(
        self, project: str, *, since: float | None = None, until: float | None = None
    ) -> AsyncIterator[WorkloadEvent]:
        """The first one has the kind "" and says that the subscription stands."""
        ...

    async def resolve_image(self, reference: str) -> str:
        """The digest ("sha256:...") that a reference has in its registry now; nothing is pulled.

        Asked with the caller's own credentials, since the cluster's nodes have none.
        """
        ...

    async def keep_revision(self, record: RevisionRecord) -> None:
        """Raises AlreadyExists where the number is taken, so that two clients cannot share one."""
        ...

    async def label_revision(self, record: RevisionRecord) -> None:
        """Change the labels of a kept one. Raises Conflict as `update` does."""
        ...

    async def forget_revision(self, project: str, number: int) -> None:
        """One that is not kept is fine."""
        ...

    async def expiries(self) -> list[Expiry]:
        """Of all projects that have one."""
        ...

    async def set_expiry(self, expiry: Expiry) -> None:
        """In the place of the one that the project has, if any. It is no document of it."""
        ...

    async def clear_expiry(self, project: str) -> None:
        """The project stays for good. One that has none is fine."""
        ...


@runtime_checkable
class SupportsNodeEngines(Protocol):
    """The containers of tasks can be reached one by one, through the engine of their node.

    Where the cluster's API itself hands `exec` and the like on, the "engine" is a stand-in: it has
    `inspect_container` for the node's tasks, and those of `protocol.SupportsExec` and its kin that
    the API has; a call that it has not raises NotSupported.
    """

    async def node_engine(self, node: str) -> Runtime:
        """The engine of the node with this ID or name; the caller closes it.

        `exec`, `cp`, `top` and `stats` go through it, by `TaskState.container_id`. Raises
        Unavailable, with the node's name and how to make it reachable, where it is not.
        """
        ...
