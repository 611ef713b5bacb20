"""The values that cross the runtime seam: networks and volumes to make, and what is there.

What a container is made of is in `container.py`, which a plan with nothing to do never imports.

All are frozen and know no wire format; `stackr/runtime/docker/wire.py` turns them into the Engine
API's JSON. Names are the engine's own (a network is named, not keyed). Units are in the names:
seconds, bytes, nano-CPUs; 0, "" and None leave a setting to the engine unless said otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from stackr.runtime.limits import Resources, RestartPolicy

__all__ = [
    "Capabilities",
    "Closing",
    "ContainerState",
    "ContainerStats",
    "EndpointState",
    "EngineEvent",
    "EngineInfo",
    "ImageState",
    "IpamPool",
    "LogEntry",
    "MountState",
    "NetworkConfig",
    "NetworkFault",
    "NetworkState",
    "PathStat",
    "PublishedPort",
    "PullProgress",
    "VolumeConfig",
    "VolumeState",
    "unfinished_name",
]

# --- what is asked of the engine ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IpamPool:
    """Addresses in CIDR notation."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    name: str
    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_driver: str = ""
    pools: tuple[IpamPool, ...] = ()
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VolumeConfig:
    name: str
    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


# --- what the engine reports -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """host_port 0: exposed, and not published."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0


@dataclass(frozen=True, slots=True)
class EndpointState:
    """A container's place in one network."""

    network: str
    network_id: str
    ipv4_address: str = ""
    ipv6_address: str = ""
    mac_address: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MountState:
    """name: the volume's, "" for other types."""

    type: str
    target: str
    source: str = ""
    name: str = ""
    read_only: bool = False


_UNFINISHED: Final = re.compile(r"-unfinished-[0-9a-f]{12}$")


def unfinished_name(name: str) -> str:
    """What a container is called until it is whole, where more than one call makes it so."""
    return f"{name}-unfinished-{os.urandom(6).hex()}"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as the engine sees it.

    name: without the leading slash. image: the reference it was made from.
    state: created, running, paused, restarting, removing, exited or dead.
    status: the engine's words ("Up 2 minutes (healthy)").
    health: "" (no check), starting, healthy or unhealthy.
    created, started_at, finished_at: Unix seconds, 0 for never.
    resources, restart: as the engine has them now; None in a listing that was not asked for them,
    of an engine that has them in an inspection only.
    ipc_mode, pid_mode, volumes_from: as they were asked for; a listing has them where it has the
    limits. severed: the namespaces that it joined are no longer those of the container that it
    named; None where the engine does not tell.
    The fields from `started_at` on are filled in by an inspection, not by a listing; so is
    `exit_code` by engines whose listing has it in words only. `started_at` is in a listing of an
    engine that is inspected for limits, too.
    standby: it has neither its ports nor its aliases, which wait for its promotion, or went to the
    container that was promoted in its place.
    """

    id: str
    name: str
    image: str = ""
    image_id: str = ""
    state: str = "created"
    status: str = ""
    health: str = ""
    exit_code: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PublishedPort, ...] = ()
    networks: tuple[EndpointState, ...] = ()
    network_mode: str = ""
    ipc_mode: str = ""
    pid_mode: str = ""
    volumes_from: tuple[str, ...] = ()
    severed: bool | None = None
    mounts: tuple[MountState, ...] = ()
    command: str = ""
    created: float = 0
    resources: Resources | None = None
    restart: RestartPolicy | None = None
    started_at: float = 0
    finished_at: float = 0
    error: str = ""
    oom_killed: bool = False
    pid: int = 0
    restart_count: int = 0
    tty: bool = False
    open_stdin: bool = False
    standby: bool = False
    health_output: str = ""
    health_exit_code: int | None = None
    health_failing_streak: int = 0

    @property
    def is_running(self) -> bool:
        return self.state in ("running", "paused", "restarting")

    @property
    def is_unfinished(self) -> bool:
        """Its creation was cut off before it was whole: good for nothing but removal."""
        return self.state == "created" and _UNFINISHED.search(self.name) is not None


@dataclass(frozen=True, slots=True)
class NetworkState:
    name: str
    id: str
    driver: str = ""
    scope: str = ""
    internal: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    pools: tuple[IpamPool, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """Something of a network that the host does not have as the engine made it.

    what: `bridge`, `firewall`, `demo-web-1.eth0`; found: "missing", "down"; wanted: what should be.
    """

    what: str
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class VolumeState:
    name: str
    driver: str = ""
    mountpoint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageState:
    """id: the image's (config or manifest) digest, as containers name it.

    volumes: the paths for which the image wants anonymous volumes. size_bytes: unpacked.
    created, tagged: Unix seconds; when it last got a name, by a pull too, 0 for never.
    """

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size_bytes: int = 0
    created: float = 0
    tagged: float = 0
    os: str = ""
    architecture: str = ""
    variant: str = ""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One step of one layer ("" for the whole image). current, total: bytes, 0 for unknown.

    status: the engine's words: Pulling fs layer, Downloading, Extracting, Pull complete, Pushed...
    digest: of what was pushed, at the end of a push.
    """

    status: str
    layer: str = ""
    current: int = 0
    total: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of output, without its line end. time_ns: since the epoch, 0 if not asked for."""

    stream: str
    line: bytes
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something happened. type: container, image, network, volume or daemon."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """What a container uses now; sums are since its start. cpu_percent: 100 is one whole core.

    memory_bytes: without the page cache that the kernel takes back first. All are 0 for a
    container that does not run.
    """

    cpu_percent: float = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    pids: int = 0


@dataclass(frozen=True, slots=True)
class PathStat:
    """A path in a container. link_target: where a symlink leads in the end, else ""."""

    name: str
    size_bytes: int = 0
    is_folder: bool = False
    is_special: bool = False
    """A device, a FIFO or a socket."""
    link_target: str = ""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself; `endpoint` is the address that it was reached at."""

    name: str = ""
    version: str = ""
    api_version: str = ""
    os: str = ""
    architecture: str = ""
    kernel: str = ""
    cpus: int = 0
    memory_bytes: int = 0
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Whose command changes a project. since: RFC 3339, by the engine's clock; "" for not yet."""

    pid: int
    user: str
    host: str
    since: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a back-end can do beyond the common ground; code asks this, never the class.

    probes: health checks of a port, an HTTP answer, output or a file, made by the engine itself.
    restart_unhealthy: a container's label of that name is heeded.
    listed_limits: a listing has every container's `resources` and `restart` at no further cost.
    update_labels, update_lifts: `update_container` changes labels; it takes any limit away.
    handover: see `protocol.SupportsHandover`. leases: the engine can own a project for a while.
    network_repair: see `protocol.SupportsNetworkRepair`. snapshot: see `runtime.snapshot`.
    locks: see `protocol.SupportsLocks`. build: it builds images by calls of its own.
    documented_support: it honours of a stack file what `spec.support` says, and refuses the rest.
    at_rest: it does not run, and is only looked at (`runtime.resting`).
    """

    multiple_networks_on_create: bool = True
    image_mounts: bool = False
    volume_subpath: bool = False
    interface_name: bool = False
    start_interval: bool = True
    probes: bool = False
    restart_unhealthy: bool = False
    listed_limits: bool = False
    update_labels: bool = False
    update_lifts: bool = False
    handover: bool = False
    leases: bool = False
    network_repair: bool = False
    snapshot: bool = False
    locks: bool = False
    build: bool = False
    documented_support: bool = False
    at_rest: bool = False


class Closing(Protocol):
    """What is open until it is closed, at the end of a block, however that ends."""

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
