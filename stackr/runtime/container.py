"""What one container is made of, and a command that runs in one, as asked of an engine.

All are frozen and know no wire format; `stackr/runtime/docker/create.py` turns them into the Engine
API's JSON. Names are the engine's own (a network is named, not keyed). Units are in the names:
seconds, bytes, nano-CPUs; 0, "" and None leave a setting to the engine unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from stackr.runtime.limits import Blkio, Resources, RestartPolicy

__all__ = [
    "Blkio",
    "ContainerConfig",
    "ContainerFile",
    "Device",
    "DeviceRequest",
    "ExecConfig",
    "Healthcheck",
    "LogConfig",
    "Mount",
    "NetworkAttachment",
    "PortBinding",
    "Resources",
    "RestartPolicy",
    "Ulimit",
]

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PortBinding:
    """host_port: "" for any free port, "8080", or a range "8000-8010"; host_ip "" is all."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. type: bind, volume, tmpfs, image, npipe or cluster.

    source: a path of the host, a volume's name ("" for an anonymous one), or an image.
    create_host_path: a bind's missing source becomes a folder, as `-v` does.
    size_bytes, mode: of a tmpfs.
    """

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    propagation: str = ""
    recursive: str = ""
    selinux: str = ""
    create_host_path: bool = False
    no_copy: bool = False
    subpath: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    mode: int = 0


@dataclass(frozen=True, slots=True)
class NetworkAttachment:
    """How a container joins the network of this name."""

    network: str
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    gw_priority: int = 0


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """test: ("CMD", ...), ("CMD-SHELL", text), ("NONE",), or () for the image's own.

    An engine with `Capabilities.probes` makes these itself, without a program in the container:
    ("TCP", port), ("HTTP", url[, statuses]), ("LOG", regular expression), ("FILE", path).
    """

    test: tuple[str, ...] = ()
    interval_s: float = 0
    timeout_s: float = 0
    start_period_s: float = 0
    start_interval_s: float = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Device:
    source: str
    target: str = ""
    permissions: str = ""


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """Devices asked of a driver (GPUs); count -1 means all."""

    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogConfig:
    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """A file that is written into a created container before it starts (a config or secret)."""

    path: str
    content: bytes
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """Everything that one container is made of.

    command, entrypoint: None for the image's own, () for none at all.
    environment: a value None unsets the image's variable.
    networks: the first is the one that `network_mode` names, in order of priority.
    network_mode, ipc_mode, pid_mode, volumes_from: "container:NAME" and "NAME[:ro]" may name
        a container of the same plan; the executor fills in its ID.
    api_socket: the engine's socket, and the caller's registry credentials, are in the container.
    console_size: (rows, columns) of the terminal, None for the engine's own.
    extra_hosts: "HOST:ADDRESS". exposed_ports: "80/tcp". files: written before the first start.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    mac_address: str = ""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    console_size: tuple[int, int] | None = None
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    healthcheck: Healthcheck | None = None
    platform: str = ""
    exposed_ports: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    volumes_from: tuple[str, ...] = ()
    files: tuple[ContainerFile, ...] = ()
    api_socket: bool = False
    network_mode: str = ""
    networks: tuple[NetworkAttachment, ...] = ()
    restart: RestartPolicy | None = None
    auto_remove: bool = False
    resources: Resources = field(default_factory=Resources)
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    security_opt: tuple[str, ...] = ()
    unmask_paths: bool = False
    read_only: bool = False
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipc_mode: str = ""
    pid_mode: str = ""
    uts_mode: str = ""
    userns_mode: str = ""
    cgroupns_mode: str = ""
    cgroup_parent: str = ""
    isolation: str = ""
    runtime: str = ""
    init: bool | None = None
    shm_size_bytes: int = 0
    sysctls: Mapping[str, str] = field(default_factory=dict)
    storage_opt: Mapping[str, str] = field(default_factory=dict)
    oom_score_adj: int = 0
    log: LogConfig | None = None


@dataclass(frozen=True, slots=True)
class ExecConfig:
    """A command for a running container; environment: "KEY=VALUE".

    console_size: (rows, columns) of its terminal, None for the engine's own.
    """

    command: tuple[str, ...]
    tty: bool = False
    console_size: tuple[int, int] | None = None
    stdin: bool = False
    environment: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    privileged: bool = False
