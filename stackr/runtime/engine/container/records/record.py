"""What the engine knows of one container: its settings, its mounts, its state; and their JSON form.

Records are changed on the event loop only, and written through by `store.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.records.stored import (
    config_from,
    endpoint_from,
    host_config_from,
    stored_config,
    stored_endpoint,
    stored_host_config,
)
from stackr.runtime.engine.container.settings.spec import Config, EndpointSettings, HostConfig
from stackr.runtime.engine.linux.process import age_s, boot_id
from stackr.runtime.engine.records import Document, Kind, known_fields

__all__ = [
    "CONTAINER",
    "STANDBY_LABEL",
    "Container",
    "Health",
    "Intent",
    "MountPoint",
    "Probe",
    "Running",
    "State",
    "UnhealthyRestarts",
]

STANDBY_LABEL = "io.stackr.standby"
"""With the value "true", a container starts in standby; see `network/handover.py`."""

Intent = str
"""What the daemon's next start must finish or undo.

start, stop (and its time, if the caller gave one: "stop 30"), unpause, remove with volumes, or "".
"""


@dataclass(frozen=True, slots=True)
class MountPoint:
    """type: bind, volume, tmpfs or image; the first eight fields are what an inspection shows.

    source: of an image, the reference that was asked for; `name` is then the image's ID.
    options: of a tmpfs, or of the mount of another file system, as mount(8) has them.
    subpath: a path below the volume's or image's root.
    anonymous: the volume was made for this container and goes with it where that is asked.
    device: the volume is a file system of its own, which is mounted at each start.
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    options: tuple[str, ...] = ()
    recursive: bool = True
    readonly_recursive: bool = True
    copy_up: bool = False
    subpath: str = ""
    anonymous: bool = False
    device: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """The processes of a container that was started; `*_start` (clock ticks) tells a reused pid."""

    monitor_pid: int
    monitor_start: int
    pid: int = 0
    pid_start: int = 0
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """One health probe; times in nanoseconds since the epoch."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


@dataclass(slots=True)
class Health:
    """status: starting, healthy or unhealthy; log: the newest five probes, oldest first."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[Probe] = field(default_factory=list)


@dataclass(slots=True)
class UnhealthyRestarts:
    """Restarts for want of health. attempts: in a row; total: since a caller has started it.

    given_up: there were as many in a row as may be. ending: the program is asked to end, and is
    started again when it has.
    """

    attempts: int = 0
    total: int = 0
    given_up: bool = False
    ending: bool = False


@dataclass(slots=True)
class State:
    """Times in nanoseconds since the epoch, 0 for never."""

    status: Status = Status.CREATED
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    health: Health | None = None


@dataclass(slots=True)
class Container:
    """endpoints: networks to join by the name or ID the caller gave, in the caller's order.

    manually_stopped: `unless-stopped` must not bring it up. secrets of the caller are not kept
    apart: the record holds the whole environment, as Docker's does. standby: it waits for its
    promotion. replaced_by: the container that took its place, by ID, for as long as that exists.
    """

    id: str
    name: str
    created_ns: int
    image_id: str
    config: Config
    host_config: HostConfig
    endpoints: dict[str, EndpointSettings]
    mounts: tuple[MountPoint, ...] = ()
    platform: str = "linux"
    state: State = field(default_factory=State)
    running: Running | None = None
    restart_count: int = 0
    manually_stopped: bool = False
    intent: Intent = ""
    standby: bool = False
    replaced_by: str = ""
    unhealthy_restarts: UnhealthyRestarts = field(default_factory=UnhealthyRestarts)

    @property
    def short_id(self) -> str:
        return self.id[:12]

    @property
    def pid(self) -> int:
        """The container's first process in the host's numbers, 0 where there is none."""
        return self.running.pid if self.running and self.state.status.is_up else 0

    @property
    def uptime_s(self) -> float:
        """How long it has been running, by a clock that nobody sets; 0 where it does not run."""
        if self.running is None or self.running.boot_id != boot_id():
            return 0.0
        return age_s(self.running.pid_start)

    @property
    def command(self) -> list[str]:
        """Entrypoint and command together, as the container runs them."""
        return [*(self.config.entrypoint or []), *self.config.cmd]

    @property
    def hostname(self) -> str:
        return self.config.hostname or self.short_id

    def to_document(self) -> Document:
        """What few have is left out where it is as with the rest."""
        counted = self.unhealthy_restarts
        few = {} if counted == UnhealthyRestarts() else {"unhealthy_restarts": asdict(counted)}
        return {
            "id": self.id,
            "name": self.name,
            "created_ns": self.created_ns,
            "image_id": self.image_id,
            "config": stored_config(self.config),
            "host_config": stored_host_config(self.host_config),
            "endpoints": {name: stored_endpoint(e) for name, e in self.endpoints.items()},
            "mounts": [asdict(mount) for mount in self.mounts],
            "platform": self.platform,
            "state": asdict(self.state),
            "running": asdict(self.running) if self.running else None,
            "restart_count": self.restart_count,
            "manually_stopped": self.manually_stopped,
            "intent": self.intent,
            "standby": self.standby,
            "replaced_by": self.replaced_by,
            **few,
        }

    @classmethod
    def from_document(cls, document: Document) -> Container:
        plain = known_fields(cls, document)
        plain["config"] = config_from(plain["config"])
        plain["host_config"] = host_config_from(plain["host_config"])
        plain["endpoints"] = {name: endpoint_from(e) for name, e in plain["endpoints"].items()}
        plain["mounts"] = tuple(_mount_point(mount) for mount in plain["mounts"])
        plain["state"] = _state(plain["state"])
        running = plain["running"]
        plain["running"] = Running(**known_fields(Running, running)) if running else None
        counted = known_fields(UnhealthyRestarts, plain.get("unhealthy_restarts") or {})
        plain["unhealthy_restarts"] = UnhealthyRestarts(**counted)
        return cls(**plain)


def _mount_point(document: dict[str, Any]) -> MountPoint:
    known = known_fields(MountPoint, document)
    return MountPoint(**{**known, "options": tuple(known["options"])})


def _state(document: dict[str, Any]) -> State:
    health = document["health"]
    if health is not None:
        log = [Probe(**known_fields(Probe, probe)) for probe in health["log"]]
        health = Health(**{**known_fields(Health, health), "log": log})
    known = known_fields(State, document)
    return State(**{**known, "status": Status(document["status"]), "health": health})


CONTAINER = Kind(
    "container",
    parse=lambda _, document: Container.from_document(document),
    dump=Container.to_document,
    identities={"mounts": "destination", "state.health.log": "start_ns"},
)
