"""The arguments of an operation: a value for each call of the engine, and for each wait.

The executor finds by the payload's type what is to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stackr.runtime.container import ContainerConfig, NetworkAttachment, Resources, RestartPolicy
from stackr.runtime.image_build import ImageBuild
from stackr.runtime.types import NetworkConfig, VolumeConfig
from stackr.runtime.workloads import Document, DocumentKind

__all__ = [
    "AwaitWorkload",
    "BuildImage",
    "Commit",
    "ConnectNetwork",
    "CreateContainer",
    "CreateDocument",
    "CreateNetwork",
    "CreateVolume",
    "Delay",
    "DisconnectNetwork",
    "DrainContainer",
    "Gate",
    "KillContainer",
    "MonitorContainer",
    "PauseContainer",
    "Payload",
    "PromoteContainer",
    "PullImage",
    "PushImage",
    "RemoveContainer",
    "RemoveDocument",
    "RemoveImage",
    "RemoveNetwork",
    "RemoveVolume",
    "RenameContainer",
    "RepairNetwork",
    "RestartContainer",
    "RestartWorkload",
    "RunHook",
    "RunStep",
    "StartContainer",
    "StopContainer",
    "UnpauseContainer",
    "UpdateContainer",
    "UpdateDocument",
    "WaitFor",
]


@dataclass(frozen=True, slots=True)
class PullImage:
    """services: those that wait for it. ignore_failure: nobody's operations are skipped."""

    reference: str
    platform: str = ""
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildImage:
    """services: those whose image it is."""

    build: ImageBuild
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PushImage:
    """services: those that it is the image of."""

    reference: str
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateNetwork:
    config: NetworkConfig


@dataclass(frozen=True, slots=True)
class CreateVolume:
    config: VolumeConfig


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """name: as created; a replacement gets its final name by a later rename."""

    name: str
    config: ContainerConfig


@dataclass(frozen=True, slots=True)
class StartContainer:
    ref: str


@dataclass(frozen=True, slots=True)
class RestartContainer:
    ref: str
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class PauseContainer:
    ref: str


@dataclass(frozen=True, slots=True)
class UnpauseContainer:
    ref: str


@dataclass(frozen=True, slots=True)
class StopContainer:
    """timeout_s: None is the container's own."""

    ref: str
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class KillContainer:
    ref: str
    signal: str = "SIGKILL"


@dataclass(frozen=True, slots=True)
class RenameContainer:
    ref: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """volumes: its anonymous ones as well."""

    ref: str
    force: bool = False
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class UpdateContainer:
    """Limits, restart policy and labels of a container that exists; None leaves it as it is.

    A label without a value is taken away.
    """

    ref: str
    resources: Resources | None = None
    restart: RestartPolicy | None = None
    labels: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class RunHook:
    """A command in a running container, which has to succeed; environment: "KEY=VALUE"."""

    ref: str
    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStep:
    """A container of `pre_start`, which has to end with code 0.

    target: the service's container, in whose volumes it works. index: of the step in its list.
    running: the ID of one that is under way already, "" for none. timeout_s None is without end.
    """

    name: str
    config: ContainerConfig
    target: str
    index: int
    running: str = ""
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class PromoteContainer:
    """A container in standby takes the ports and names of the one that it replaces (an ID)."""

    ref: str
    replaces: str


@dataclass(frozen=True, slots=True)
class DrainContainer:
    """Wait until no client is connected through the container's ports, or the time is up."""

    ref: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class MonitorContainer:
    """See that a container stays running, and healthy where it is checked, for so long."""

    ref: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Delay:
    seconds: float


@dataclass(frozen=True, slots=True)
class Gate:
    """After a batch of a service's update: fails if more containers than `tolerated` failed.

    It is reached however the operations that it follows have ended. action: pause, continue or
    rollback: what a failure is followed by.
    """

    service: str
    action: str
    tolerated: int


@dataclass(frozen=True, slots=True)
class Commit:
    """No call: what follows cannot be undone, and what it depends on is all done."""


@dataclass(frozen=True, slots=True)
class ConnectNetwork:
    container: str
    attachment: NetworkAttachment


@dataclass(frozen=True, slots=True)
class DisconnectNetwork:
    container: str
    network: str


@dataclass(frozen=True, slots=True)
class WaitFor:
    """condition: service_started, service_healthy, service_completed_successfully, or
    running_or_healthy (healthy where there is a health check).

    needed_by: the services that wait; timeout_s None is without end.
    """

    container: str
    condition: str
    service: str = ""
    needed_by: tuple[str, ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    ref: str


@dataclass(frozen=True, slots=True)
class RepairNetwork:
    ref: str


@dataclass(frozen=True, slots=True)
class RemoveVolume:
    """One that is still in use is left alone, unless it is to be made anew."""

    name: str
    is_renewed: bool = False


@dataclass(frozen=True, slots=True)
class RemoveImage:
    """An image that is still in use, or not there, is left alone."""

    reference: str


@dataclass(frozen=True, slots=True)
class CreateDocument:
    """Of an engine that runs replicas itself, as all that follow."""

    document: Document


@dataclass(frozen=True, slots=True)
class UpdateDocument:
    """id, version: of what was observed, which this replaces."""

    document: Document
    id: str
    version: int


@dataclass(frozen=True, slots=True)
class RemoveDocument:
    """name: for people. version: as it was observed; None for whichever is there.

    A config, secret or network that others still use is left alone.
    """

    kind: DocumentKind
    id: str
    name: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class RestartWorkload:
    """New replicas of the very same spec, as its update rules say."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class AwaitWorkload:
    """Wait until the service document of this name runs as it shall, or, of a job, is done.

    needed_by: the services that wait; timeout_s None is without end. is_gone: until it has no
    replica any more.
    """

    name: str
    needed_by: tuple[str, ...] = ()
    timeout_s: float | None = None
    is_gone: bool = False


Payload: TypeAlias = (
    PullImage
    | BuildImage
    | PushImage
    | CreateNetwork
    | CreateVolume
    | CreateContainer
    | StartContainer
    | RestartContainer
    | PauseContainer
    | UnpauseContainer
    | StopContainer
    | KillContainer
    | RenameContainer
    | RemoveContainer
    | ConnectNetwork
    | DisconnectNetwork
    | WaitFor
    | RemoveNetwork
    | RepairNetwork
    | RemoveVolume
    | RemoveImage
    | UpdateContainer
    | RunHook
    | RunStep
    | Commit
    | PromoteContainer
    | DrainContainer
    | MonitorContainer
    | Delay
    | Gate
    | CreateDocument
    | UpdateDocument
    | RemoveDocument
    | RestartWorkload
    | AwaitWorkload
)
