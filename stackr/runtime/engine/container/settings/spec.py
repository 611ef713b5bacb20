"""The Engine API's bodies for containers, as typed models: what a caller may ask for.

Unknown keys are dropped, as dockerd does for newer clients. A known key that this engine does not
honour is kept out of the models and listed in `refused.py`, which names it when it is set.
Source: Docker Engine API, `ContainerConfig`, `HostConfig`, `NetworkingConfig`, `Mount`.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_pascal

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.settings.keys import matched
from stackr.runtime.engine.container.settings.refused import refuse_fixed, refuse_unsupported
from stackr.text import whole_number

__all__ = [
    "BindOptions",
    "Config",
    "ContainerCreate",
    "ContainerUpdate",
    "DeviceMapping",
    "DeviceRequest",
    "EndpointIPAMConfig",
    "EndpointSettings",
    "ExecCreate",
    "Healthcheck",
    "HostConfig",
    "ImageOptions",
    "LogConfig",
    "Mount",
    "NetworkingConfig",
    "PortBinding",
    "Resources",
    "RestartPolicy",
    "ThrottleDevice",
    "TmpfsOptions",
    "Ulimit",
    "VolumeOptions",
    "WeightDevice",
    "parse_create",
    "parse_endpoint",
    "parse_exec",
    "parse_update",
]

_MOST_PORT = 65535


def _as_list(value: object) -> object:
    """Go's strslice: one string stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _known_policy(name: object) -> object:
    if isinstance(name, str) and name not in _POLICIES:
        raise InvalidArgument(f"invalid restart policy '{name}'")
    return name


_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")

Words = Annotated[list[str], BeforeValidator(_as_list)]


class _Body(BaseModel):
    """Keys in the API's spelling, or in another case; a null key is an absent one: as Go's decoder
    has it.
    """

    model_config = ConfigDict(
        alias_generator=to_pascal,
        populate_by_name=True,
        extra="ignore",
        strict=True,  # as Go: no number for a string, nor 1 for true
        defer_build=True,  # 100 ms of the daemon's start otherwise
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return matched(
                {key: value for key, value in data.items() if value is not None}, _keys(cls)
            )
        return data

    def to_json(self) -> dict[str, Any]:
        """The body in the API's spelling, every key present."""
        return self.model_dump(by_alias=True, mode="json")

    def to_record(self) -> dict[str, Any]:
        """As `to_json`, without the keys that hold their default."""
        return self.model_dump(by_alias=True, mode="json", exclude_defaults=True)


@cache
def _keys(model: type[BaseModel]) -> frozenset[str]:
    names = ((name, field.alias or name) for name, field in model.model_fields.items())
    return frozenset(key for pair in names for key in pair)


_AnyBody = TypeVar("_AnyBody", bound=_Body)


class Healthcheck(_Body):
    """Durations in nanoseconds; 0 stands for the default, an empty test for the image's."""

    test: Words = []
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


class RestartPolicy(_Body):
    name: Annotated[
        Literal["", "no", "always", "unless-stopped", "on-failure"],
        BeforeValidator(_known_policy),
    ] = ""
    maximum_retry_count: int = 0


class PortBinding(_Body):
    """host_port: "8080", a range "8000-8010", or "" for any free port."""

    host_ip: str = ""
    host_port: str = ""


class BindOptions(_Body):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class DriverConfig(_Body):
    name: str = ""
    options: dict[str, str] = {}


class VolumeOptions(_Body):
    no_copy: bool = False
    labels: dict[str, str] = {}
    driver_config: DriverConfig = DriverConfig()
    subpath: str = ""


class TmpfsOptions(_Body):
    """mode: permission bits as a number, 0 for the default of 1777 octal."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] = []


class ImageOptions(_Body):
    subpath: str = ""


class Mount(_Body):
    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    image_options: ImageOptions | None = None


class LogConfig(_Body):
    type: str = ""
    config: dict[str, str] = {}


class Ulimit(_Body):
    name: str
    soft: int
    hard: int


class DeviceMapping(_Body):
    path_on_host: str
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(_Body):
    """count: -1 for all. capabilities: each list is one of the sets that would do."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] = Field(default=[], alias="DeviceIDs")
    capabilities: list[list[str]] = []
    options: dict[str, str] = {}


class WeightDevice(_Body):
    """path: of a block device."""

    path: str
    weight: int


class ThrottleDevice(_Body):
    """rate: bytes or operations a second."""

    path: str
    rate: int


class Resources(_Body):
    """What `update` may change: bytes, billionths of a CPU, microseconds; 0 means no limit."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] = []
    blkio_device_read_bps: list[ThrottleDevice] = []
    blkio_device_read_iops: list[ThrottleDevice] = Field(default=[], alias="BlkioDeviceReadIOps")
    blkio_device_write_bps: list[ThrottleDevice] = []
    blkio_device_write_iops: list[ThrottleDevice] = Field(default=[], alias="BlkioDeviceWriteIOps")


class HostConfig(Resources):
    binds: list[str] = []
    mounts: list[Mount] = []
    tmpfs: dict[str, str] = {}
    volumes_from: list[str] = []
    network_mode: str = "default"
    port_bindings: dict[str, list[PortBinding] | None] = {}
    publish_all_ports: bool = False
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    container_id_file: str = Field(default="", alias="ContainerIDFile")
    console_size: list[int] = [0, 0]
    annotations: dict[str, str] = {}
    cap_add: Words = []
    cap_drop: Words = []
    privileged: bool = False
    security_opt: list[str] = []
    readonly_rootfs: bool = False
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    dns: list[str] = []
    dns_search: list[str] = []
    dns_options: list[str] = []
    extra_hosts: list[str] = []
    group_add: list[str] = []
    ipc_mode: str = ""
    pid_mode: str = ""
    uts_mode: str = Field(default="", alias="UTSMode")
    userns_mode: str = ""
    cgroupns_mode: str = ""
    cgroup_parent: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] = {}
    ulimits: list[Ulimit] = []
    devices: list[DeviceMapping] = []
    device_cgroup_rules: list[str] = []
    device_requests: list[DeviceRequest] = []
    init: bool | None = None
    oom_score_adj: int = 0
    oom_kill_disable: bool = False
    log_config: LogConfig = LogConfig()
    runtime: str = ""
    links: list[str] = []
    volume_driver: str = ""
    isolation: str = ""
    storage_opt: dict[str, str] = {}


class Config(_Body):
    """The part of a container that an image can give as well."""

    image: str = ""
    cmd: Words = []
    entrypoint: Words | None = None
    env: list[str] = []
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    labels: dict[str, str] = {}
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, dict[str, Any]] = {}
    volumes: dict[str, dict[str, Any]] = {}
    stop_signal: str = ""
    stop_timeout: int | None = None
    healthcheck: Healthcheck | None = None
    shell: Words = []
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] = []

    @property
    def exposed(self) -> tuple[str, ...]:
        """`80/tcp`, `53/udp`, ..., each once: a client may say `80`, and its image `80/tcp`."""
        keys = (key if "/" in key else f"{key}/tcp" for key in self.exposed_ports)
        return tuple(sorted(set(keys)))

    @property
    def exposed_numbers(self) -> tuple[tuple[int, str], ...]:
        """The same as (80, "tcp"), the first of a range; an image may have anything there."""
        found = []
        for key in self.exposed:
            port, _, protocol = key.partition("/")
            number = whole_number(port.partition("-")[0], most=_MOST_PORT)
            if number is not None:
                found.append((number, protocol))
        return tuple(found)


class EndpointIPAMConfig(_Body):
    ipv4_address: str = Field(default="", alias="IPv4Address")
    ipv6_address: str = Field(default="", alias="IPv6Address")
    link_local_ips: list[str] = Field(default=[], alias="LinkLocalIPs")


class EndpointSettings(_Body):
    """One network to join; what only an inspection fills in (gateway, prefix) is not read."""

    ipam_config: EndpointIPAMConfig = Field(default=EndpointIPAMConfig(), alias="IPAMConfig")
    links: list[str] = []
    aliases: list[str] = []
    mac_address: str = ""
    driver_opts: dict[str, str] = {}
    gw_priority: int = 0


class NetworkingConfig(_Body):
    endpoints_config: dict[str, EndpointSettings | None] = {}


class ContainerCreate(Config):
    """The body of `POST /containers/create`: a `Config` with its host's and networks' sides."""

    host_config: HostConfig = HostConfig()
    networking_config: NetworkingConfig = NetworkingConfig()

    def config(self) -> Config:
        """The portable part alone."""
        return Config.model_validate({name: getattr(self, name) for name in Config.model_fields})


class ContainerUpdate(Resources):
    """The body of `POST /containers/{id}/update`; an absent key, or 0, changes nothing.

    labels: stackr's own; each replaces or adds one, null removes it. oom_kill_disable: is fixed.
    ulimits: each replaces the one of its name.
    """

    oom_kill_disable: bool | None = None
    restart_policy: RestartPolicy = RestartPolicy()
    labels: dict[str, str | None] = {}
    ulimits: list[Ulimit] = []


class ExecCreate(_Body):
    """The body of `POST /containers/{id}/exec`."""

    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    console_size: list[int] | None = None
    detach_keys: str = ""
    tty: bool = False
    env: list[str] = []
    cmd: Words = []
    privileged: bool = False
    user: str = ""
    working_dir: str = ""


def parse_create(body: object) -> ContainerCreate:
    """The typed form of a create body.

    Raises InvalidArgument for a wrong type, with the key's path, and NotSupported for a known
    key that this engine does not honour.
    """
    if isinstance(body, dict):
        refuse_unsupported(body)
    return _parse(ContainerCreate, body)


def parse_update(body: object) -> ContainerUpdate:
    """The typed form of an update body; raises as `parse_create`."""
    if isinstance(body, dict):
        refuse_unsupported({"HostConfig": body})
        refuse_fixed(body)
    return _parse(ContainerUpdate, body)


def parse_exec(body: object) -> ExecCreate:
    """The typed form of an exec body; raises InvalidArgument for a wrong type."""
    return _parse(ExecCreate, body)


def parse_endpoint(body: object) -> EndpointSettings:
    """The typed form of a `connect` body's settings; raises InvalidArgument for a wrong type."""
    return _parse(EndpointSettings, body)


def _parse(model: type[_AnyBody], body: object) -> _AnyBody:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidArgument(f"invalid JSON: {where}: {first['msg']}") from error
