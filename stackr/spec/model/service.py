"""`services.*`: one model field for each attribute of the Compose Specification."""

from functools import cached_property
from typing import Annotated, ClassVar, Literal

from stackr.spec import canonical, checks, decode, defaults, identity, merge, paths
from stackr.spec.attribute import (
    NAMES,
    OWN,
    At,
    Check,
    Default,
    IsPath,
    LongForm,
    Merge,
    NormalCheck,
    Unique,
    Written,
)
from stackr.spec.model.base import Model
from stackr.spec.model.build import Build, Ulimit
from stackr.spec.model.deploy import Deploy, DeviceRequest
from stackr.spec.model.extension import ServiceExtension, service_extension
from stackr.spec.model.mounts import FileGrant, ServiceVolume
from stackr.spec.model.types import (
    Bytes,
    Command,
    Distinct,
    Flag,
    Hosts,
    Labels,
    Number,
    OptionalDuration,
    OptionalFlag,
    OptionalNumber,
    Options,
    Retries,
    Variables,
    Words,
)
from stackr.spec.values import (
    AS_FLOAT,
    AS_INT,
    AS_SINGLE,
    BYTES,
    MULTI_OPTIONS,
    NUMBERS,
    SINGLE,
    STRING_MAP,
    TEST,
    UINT16,
    UINT32,
)


class Port(Model):
    """A container port; `published` is a port or a range `low-high` of the host, or None."""

    name: str | None = None
    mode: str | None = None
    host_ip: str | None = None
    target: Annotated[int, UINT32, AS_INT] = 0
    published: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class ServiceNetwork(Model):
    """How a service joins one network."""

    aliases: Distinct = ()
    driver_opts: Options = {}
    gw_priority: int = 0
    interface_name: str | None = None
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    link_local_ips: Distinct = ()
    mac_address: str | None = None
    priority: int = 0


Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


class Dependency(Model):
    """What must be true of another service before this one starts."""

    condition: Condition = "service_started"
    restart: bool = False
    required: Annotated[bool, Written(always=True, zero=False)] = True


class Healthcheck(Model):
    """A probe; `test` starts with CMD, CMD-SHELL or NONE, and () means the image's own."""

    test: Annotated[tuple[str, ...], TEST, Merge(merge.replace)] = ()
    timeout: OptionalDuration = None
    interval: OptionalDuration = None
    retries: Retries = None
    start_period: OptionalDuration = None
    start_interval: OptionalDuration = None
    disable: Flag = False


class Logging(Model):
    """Where output goes."""

    driver: str | None = None
    options: Options = {}


class EnvFile(Model):
    """A file of variables, by absolute path; empty once it is resolved into `environment`."""

    read_as: ClassVar[type[decode.Struct]] = decode.EnvFile

    path: Annotated[str | None, IsPath(paths.file)] = None
    required: Annotated[bool, Written(always=True, zero=False)] = False
    format: str | None = None


class Device(Model):
    """A device node of the host; `permissions` are of r, w, m."""

    source: str | None = None
    target: str | None = None
    permissions: str | None = None


class WeightDevice(Model):
    """A block device's weight, 10 to 1000."""

    path: Annotated[str, Written(always=True, zero="", shown="Path")] = ""
    weight: Annotated[int, UINT16, Written(always=True, zero=0, shown="Weight")] = 0


class ThrottleDevice(Model):
    """A block device's limit, bytes or operations a second."""

    path: Annotated[str, Written(always=True, zero="", shown="Path")] = ""
    rate: Annotated[Bytes, Written(always=True, zero="0", shown="Rate")] = 0


class BlkioConfig(Model):
    """Limits of block I/O."""

    weight: Annotated[int, UINT16] = 0
    weight_device: tuple[WeightDevice, ...] = ()
    device_read_bps: tuple[ThrottleDevice, ...] = ()
    device_read_iops: tuple[ThrottleDevice, ...] = ()
    device_write_bps: tuple[ThrottleDevice, ...] = ()
    device_write_iops: tuple[ThrottleDevice, ...] = ()


class CredentialSpec(Model):
    """A managed service account's credentials (Windows)."""

    config: str | None = None
    file: str | None = None
    registry: str | None = None


class Extends(Model):
    """The service that this one was made from; only left where that one is empty."""

    file: Annotated[str | None, IsPath(paths.extended)] = None
    service: str | None = None


class Hook(Model):
    """A command that runs in the container at a point of its life."""

    command: Command = None
    user: str | None = None
    privileged: bool = False
    working_dir: str | None = None
    environment: dict[str, str | None] = {}


class WatchTrigger(Model):
    """What a change of source files does."""

    path: Annotated[
        str,
        IsPath(paths.watched),
        Check(checks.not_blank),
        Written(always=True, zero=""),
    ] = ""
    action: Annotated[str, Written(always=True, zero="")] = ""
    target: str | None = None
    exec: Hook = Hook.model_construct()
    include: Annotated[tuple[str, ...], LongForm(canonical.one_or_many)] = ()
    ignore: Annotated[tuple[str, ...], LongForm(canonical.one_or_many)] = ()
    initial_sync: bool = False


class Develop(Model):
    """Rules of `watch`."""

    watch: tuple[WatchTrigger, ...] = ()


class Provider(Model):
    """A service that another program runs; each option may have several values."""

    type: str | None = None
    options: Annotated[dict[str, tuple[str, ...]], MULTI_OPTIONS] = {}


class ServiceModel(Model):
    """Variables that tell a service where its language model is."""

    endpoint_var: str | None = None
    model_var: str | None = None


class Service(Model):
    """A service in canonical form; a string, tuple or mapping left out is None or empty.

    `command` and `entrypoint`: None means the image's own, () means none at all.
    `environment`: a value None is a variable to be left unset. `networks` is empty if, and only
    if, `network_mode` or `provider` is set.
    """

    name: Annotated[str, OWN] = ""
    profiles: Distinct = ()
    annotations: Labels = {}
    attach: bool | None = None
    build: Annotated[
        Build | None,
        Merge(merge.wrapped("context")),
        LongForm(canonical.wrapped("context")),
        Default(defaults.values(context=".")),
    ] = None
    develop: Develop | None = None
    blkio_config: BlkioConfig | None = None
    cap_add: Distinct = ()
    cap_drop: Distinct = ()
    cgroup_parent: str | None = None
    cgroup: str | None = None
    cpu_count: Number = 0
    cpu_percent: Annotated[float, SINGLE, AS_FLOAT] = 0
    cpu_period: Number = 0
    cpu_quota: Number = 0
    cpu_rt_period: Number = 0
    cpu_rt_runtime: Number = 0
    cpus: Annotated[float, SINGLE, AS_SINGLE] = 0
    cpuset: str | None = None
    cpu_shares: Number = 0
    command: Annotated[Command, Merge(merge.replace)] = None
    configs: Annotated[
        tuple[FileGrant, ...],
        Unique(identity.granted_at("")),
        At("*", LongForm(canonical.source)),
    ] = ()
    container_name: str | None = None
    credential_spec: CredentialSpec | None = None
    depends_on: Annotated[
        dict[str, Dependency],
        NAMES,
        Merge(merge.keyed({"condition": "service_started", "required": True})),
        LongForm(canonical.depends_on),
    ] = {}
    deploy: Deploy | None = None
    device_cgroup_rules: tuple[str, ...] = ()
    devices: Annotated[
        tuple[Device, ...],
        Unique(identity.device_target),
        At("*", LongForm(canonical.device)),
    ] = ()
    dns: Annotated[
        Words,
        Merge(merge.sequence),
        Unique(identity.name),
        LongForm(canonical.one_or_many),
    ] = ()
    dns_opt: Annotated[Distinct, Merge(merge.sequence)] = ()
    dns_search: Annotated[Words, Merge(merge.sequence), Unique(identity.name)] = ()
    domainname: str | None = None
    entrypoint: Annotated[Command, Merge(merge.replace)] = None
    provider: Provider | None = None
    environment: Variables = {}
    env_file: Annotated[
        tuple[EnvFile, ...],
        Merge(merge.sequence),
        Unique(identity.env_file),
        LongForm(canonical.env_file),
    ] = ()
    expose: Annotated[tuple[str, ...], NUMBERS, Unique(identity.exposed)] = ()
    extends: Annotated[Extends | None, LongForm(canonical.wrapped("service"))] = None
    external_links: tuple[str, ...] = ()
    extra_hosts: Hosts = {}
    group_add: tuple[str, ...] = ()
    gpus: Annotated[
        tuple[DeviceRequest, ...],
        LongForm(canonical.gpus),
        At("*", Default(defaults.all_devices), Check(checks.device)),
    ] = ()
    hostname: str | None = None
    healthcheck: Healthcheck | None = None
    image: str | None = None
    init: OptionalFlag = None
    ipc: str | None = None
    isolation: str | None = None
    labels: Labels = {}
    label_file: Annotated[
        tuple[str, ...],
        Merge(merge.sequence),
        LongForm(canonical.one_or_many),
        At("*", IsPath(paths.file)),
    ] = ()
    links: Distinct = ()
    logging: Annotated[Logging | None, Merge(merge.logging)] = None
    mem_limit: Bytes = 0
    mem_reservation: Bytes = 0
    memswap_limit: Bytes = 0
    mem_swappiness: Annotated[int, BYTES] = 0
    mac_address: str | None = None
    models: Annotated[
        dict[str, ServiceModel | None],
        Merge(merge.keyed(None)),
        LongForm(canonical.names),
    ] = {}
    network_mode: str | None = None
    networks: Annotated[
        dict[str, ServiceNetwork | None],
        Merge(merge.keyed(None)),
        LongForm(canonical.names),
    ] = {}
    oom_kill_disable: Flag = False
    oom_score_adj: Number = 0
    pid: Annotated[str | None, NormalCheck(checks.not_null)] = None
    pids_limit: Number = 0
    platform: str | None = None
    ports: Annotated[
        tuple[Port, ...],
        Unique(identity.port),
        LongForm(canonical.ports),
        At("*", Default(defaults.values(protocol="tcp", mode="ingress")), Check(checks.host_ip)),
    ] = ()
    privileged: Flag = False
    pull_policy: str | None = None
    read_only: Flag = False
    restart: str | None = None
    runtime: str | None = None
    scale: OptionalNumber = None
    secrets: Annotated[
        tuple[FileGrant, ...],
        Unique(identity.granted_at("/run/secrets")),
        At("*", LongForm(canonical.source), Default(defaults.secret_target)),
    ] = ()
    security_opt: tuple[str, ...] = ()
    shm_size: Bytes = 0
    stdin_open: Flag = False
    stop_grace_period: OptionalDuration = None
    stop_signal: str | None = None
    storage_opt: Annotated[dict[str, str], STRING_MAP] = {}
    sysctls: Labels = {}
    tmpfs: Annotated[Words, Merge(merge.sequence), Unique(identity.name)] = ()
    tty: Flag = False
    ulimits: Annotated[
        dict[str, Ulimit],
        At("*", AS_INT, Merge(merge.replace), LongForm(canonical.ulimit)),
        At("*.soft", AS_INT),
        At("*.hard", AS_INT),
    ] = {}
    use_api_socket: bool = False
    user: str | None = None
    userns_mode: str | None = None
    uts: str | None = None
    volumes: Annotated[
        tuple[ServiceVolume, ...],
        Unique(identity.mount_target),
        At("*", LongForm(canonical.mount), IsPath(paths.mount)),
    ] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str | None = None
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()

    @cached_property
    def stackr(self) -> ServiceExtension:
        """stackr's own extension of the specification, `x-stackr`."""
        return service_extension(self.extensions)
