"""`services.*`: one model field for each attribute of the Compose Specification."""

from functools import cached_property
from typing import Annotated

from stackr.spec import canonical, checks, defaults, identity, merge, paths
from stackr.spec.attribute import (
    KEYED,
    NAMES,
    ORDERED,
    OWN,
    UNHASHED,
    UNORDERED,
    At,
    Check,
    Default,
    Effect,
    IsPath,
    LongForm,
    Merge,
    Named,
    Namespace,
    NormalCheck,
    OnChange,
    Since,
    Support,
    Unique,
    in_place,
    inert,
    no_effect,
    not_on_swarm,
    only,
    partly,
    recreates,
    refused,
    supported,
    swarm,
)
from stackr.spec.model.base import Model
from stackr.spec.model.build import Build, Ulimit
from stackr.spec.model.deploy import CDI, SCALES, Deploy, DeviceRequest
from stackr.spec.model.extension import ServiceExtension, service_extension
from stackr.spec.model.mounts import FileGrant, ServiceVolume
from stackr.spec.model.parts import (
    BlkioConfig,
    Condition,
    CredentialSpec,
    Dependency,
    Develop,
    Device,
    EnvFile,
    Extends,
    Healthcheck,
    Hook,
    InitStep,
    Logging,
    Port,
    Provider,
    ServiceModel,
    ServiceNetwork,
    ThrottleDevice,
    WatchTrigger,
    WeightDevice,
)
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
    Variables,
    Words,
)
from stackr.spec.values import (
    AS_FLOAT,
    AS_INT,
    AS_SINGLE,
    NUMBERS,
    SINGLE,
    STRING_MAP,
    SWAPPINESS,
)

__all__ = [
    "BlkioConfig",
    "Condition",
    "CredentialSpec",
    "Dependency",
    "Develop",
    "Device",
    "EnvFile",
    "Extends",
    "Healthcheck",
    "Hook",
    "InitStep",
    "Logging",
    "Port",
    "Provider",
    "Service",
    "ServiceModel",
    "ServiceNetwork",
    "ThrottleDevice",
    "WatchTrigger",
    "WeightDevice",
]

_WINDOWS = "of Windows"
_NO_FIELD = "the Swarm's service has no such setting"
_NO_NAMESPACE = "tasks have namespaces of their own"
_USE_CPUS = "use cpus"
_NAMESPACE = Namespace("host", "service", "container")


def _has_alias(links: tuple[str, ...]) -> bool:
    """Whether a service is to be found by another name than its own."""
    return any(name not in ("", service) for service, _, name in (x.partition(":") for x in links))


def _where(kind: str) -> Support:
    return supported(f"on hosts with {kind}; elsewhere the engine refuses it")


class Service(Model):
    """A service in canonical form; a string, tuple or mapping left out is None or empty.

    `command` and `entrypoint`: None means the image's own, () means none at all.
    `environment`: a value None is a variable to be left unset. `networks` is empty if, and only
    if, `network_mode` or `provider` is set.
    """

    name: Annotated[str, OWN] = ""
    profiles: Annotated[
        Distinct,
        UNHASHED,
        no_effect("what is up of a service that is not selected any more stays up"),
    ] = ()
    annotations: Annotated[
        Labels,
        KEYED,
        not_on_swarm("its tasks have labels alone"),
    ] = {}
    attach: Annotated[
        bool | None,
        no_effect("it is about the terminal of `up`"),
        supported("false: `up` in the foreground does not show its output"),
        Since("2.20.0"),
        swarm(inert("nobody is attached to a Swarm's tasks")),
    ] = None
    build: Annotated[
        Build | None,
        Merge(merge.wrapped("context")),
        LongForm(canonical.wrapped("context")),
        Default(defaults.values(context=".")),
        UNHASHED,
        no_effect("what is built shows in the image's ID"),
        supported("see docs/build.md"),
        swarm(
            inert("a Swarm builds nothing: `build` and `push` the image, and name it in `image`")
        ),
    ] = None
    develop: Annotated[
        Develop | None,
        no_effect("it is about the watched sources"),
        supported("the actions sync, restart, sync+restart and sync+exec of `watch`"),
        Since("2.22.0"),
        swarm(inert("`watch` is of one host")),
    ] = None
    blkio_config: Annotated[
        BlkioConfig | None,
        in_place(),
        supported("weights of single devices need the I/O scheduler bfq"),
        not_on_swarm(_NO_FIELD),
    ] = None
    cap_add: Annotated[Distinct, UNORDERED] = ()
    cap_drop: Annotated[Distinct, UNORDERED] = ()
    cgroup_parent: Annotated[
        str | None,
        supported("an absolute path is a group of the host's; others are below the engine's own"),
        not_on_swarm(_NO_FIELD),
    ] = None
    cgroup: Annotated[
        str | None,
        Namespace("host", "service"),
        supported("host, private"),
        Since("2.15.0"),
        not_on_swarm(_NO_FIELD),
    ] = None
    cpu_count: Annotated[
        Number,
        refused(_WINDOWS),
        not_on_swarm(_WINDOWS),
    ] = 0
    cpu_percent: Annotated[
        float,
        SINGLE,
        AS_FLOAT,
        refused(_WINDOWS),
        not_on_swarm(_WINDOWS),
    ] = 0
    cpu_period: Annotated[
        Number,
        in_place(),
        not_on_swarm(_USE_CPUS),
    ] = 0
    cpu_quota: Annotated[
        Number,
        in_place(),
        not_on_swarm(_USE_CPUS),
    ] = 0
    cpu_rt_period: Annotated[
        Number,
        in_place(),
        _where("real-time groups"),
        not_on_swarm(_NO_FIELD),
    ] = 0
    cpu_rt_runtime: Annotated[
        Number,
        in_place(),
        _where("real-time groups"),
        not_on_swarm(_NO_FIELD),
    ] = 0
    cpus: Annotated[float, SINGLE, AS_SINGLE, in_place()] = 0
    cpuset: Annotated[
        str | None,
        in_place(),
        not_on_swarm("nodes differ in their processors"),
    ] = None
    cpu_shares: Annotated[
        Number,
        in_place(),
        supported("on cgroup v2 a weight from 1 to 10,000: 1,024 shares, the default, are 100"),
        not_on_swarm("use deploy.resources.reservations.cpus"),
    ] = 0
    command: Annotated[Command, Merge(merge.replace), ORDERED] = None
    configs: Annotated[
        tuple[FileGrant, ...],
        Unique(identity.granted_at("")),
        At("*", LongForm(canonical.source)),
        UNORDERED,
        Named("source", "target"),
    ] = ()
    container_name: Annotated[
        str | None,
        swarm(supported("as a further name on its networks; tasks have names of the Swarm's")),
    ] = None
    credential_spec: Annotated[CredentialSpec | None, refused(_WINDOWS, is_everywhere=True)] = None
    depends_on: Annotated[
        dict[str, Dependency],
        NAMES,
        Merge(merge.keyed({"condition": "service_started", "required": True})),
        LongForm(canonical.depends_on),
        KEYED,
        UNHASHED,
        OnChange(Effect.TOLD, "what containers record for `stop` and `down`"),
        swarm(supported("by stackr, which waits; a Swarm that starts tasks again does not")),
    ] = {}
    deploy: Annotated[
        Deploy | None, supported("replicas, resources, restart_policy, update_config")
    ] = None
    device_cgroup_rules: Annotated[
        tuple[str, ...],
        UNORDERED,
        not_on_swarm(_NO_FIELD),
    ] = ()
    devices: Annotated[
        tuple[Device, ...],
        Unique(identity.device_target),
        At("*", LongForm(canonical.device)),
        Named("target", "source"),
        not_on_swarm(_NO_FIELD),
    ] = ()
    dns: Annotated[
        Words,
        Merge(merge.sequence),
        Unique(identity.name),
        LongForm(canonical.one_or_many),
        ORDERED,
    ] = ()
    dns_opt: Annotated[Distinct, Merge(merge.sequence)] = ()
    dns_search: Annotated[Words, Merge(merge.sequence), Unique(identity.name), ORDERED] = ()
    domainname: Annotated[str | None, not_on_swarm(_NO_FIELD)] = None
    entrypoint: Annotated[Command, Merge(merge.replace), ORDERED] = None
    provider: Annotated[
        Provider | None,
        refused("services that other programs run", is_everywhere=True),
        Since("2.36.0"),
    ] = None
    environment: Annotated[Variables, KEYED] = {}
    env_file: Annotated[
        tuple[EnvFile, ...],
        Merge(merge.sequence),
        Unique(identity.env_file),
        LongForm(canonical.env_file),
        OnChange(Effect.RESOLVED, "it is resolved into `environment`"),
    ] = ()
    expose: Annotated[
        tuple[str, ...],
        NUMBERS,
        Unique(identity.exposed),
        UNORDERED,
        swarm(inert("services of one network reach all of each other's ports")),
    ] = ()
    extends: Annotated[
        Extends | None,
        LongForm(canonical.wrapped("service")),
        OnChange(Effect.RESOLVED, "it is resolved into the service's other attributes"),
    ] = None
    external_links: Annotated[
        tuple[str, ...],
        UNORDERED,
        not_on_swarm("services find each other by their names"),
    ] = ()
    extra_hosts: Hosts = {}
    group_add: Annotated[tuple[str, ...], UNORDERED] = ()
    gpus: Annotated[
        tuple[DeviceRequest, ...],
        LongForm(canonical.gpus),
        At("*", Default(defaults.all_devices), Check(checks.device)),
        CDI,
        Since("2.30.0"),
        not_on_swarm("use deploy.resources.reservations.generic_resources"),
    ] = ()
    hostname: str | None = None
    healthcheck: Annotated[
        Healthcheck | None, swarm(supported("a task that is unhealthy is replaced by another"))
    ] = None
    image: Annotated[
        str | None,
        recreates("and where the same name is another image now"),
        swarm(supported("by its digest; each node pulls it from the registry")),
    ] = None
    init: OptionalFlag = None
    ipc: Annotated[
        str | None,
        _NAMESPACE,
        supported("private, shareable, host, none, service:NAME, container:NAME"),
        not_on_swarm(_NO_NAMESPACE),
    ] = None
    isolation: Annotated[
        str | None,
        only("default", note=f"default; the others are {_WINDOWS}"),
        swarm(only("default", note=f"default; the others are {_WINDOWS}")),
    ] = None
    labels: Annotated[Labels, KEYED] = {}
    label_file: Annotated[
        tuple[str, ...],
        Merge(merge.sequence),
        LongForm(canonical.one_or_many),
        At("*", IsPath(paths.file)),
        OnChange(Effect.RESOLVED, "it is resolved into `labels`"),
        Since("2.32.0"),
    ] = ()
    links: Annotated[
        Distinct,
        UNORDERED,
        swarm(partly("of another name: services find each other by their names", _has_alias)),
    ] = ()
    logging: Annotated[
        Logging | None,
        Merge(merge.logging),
        supported("the drivers json-file, local, none, syslog, gelf, fluentd and journald"),
    ] = None
    mem_limit: Annotated[Bytes, in_place()] = 0
    mem_reservation: Annotated[Bytes, in_place()] = 0
    memswap_limit: Annotated[
        Bytes,
        in_place(),
        swarm(supported("from API 1.52")),
    ] = 0
    mem_swappiness: Annotated[
        int,
        SWAPPINESS,
        in_place(),
        _where("cgroup v1"),
        swarm(supported("from API 1.52, on nodes with cgroup v1")),
    ] = 0
    mac_address: Annotated[str | None, not_on_swarm("each task has its own")] = None
    models: Annotated[
        dict[str, ServiceModel | None],
        Merge(merge.keyed(None)),
        LongForm(canonical.names),
        refused("no language models are run", is_everywhere=True),
        Since("2.38.0"),
    ] = {}
    network_mode: Annotated[
        str | None,
        _NAMESPACE,
        supported("bridge, host, none, service:NAME, container:NAME"),
        swarm(only("host", "bridge", note="host and bridge: those of each node")),
    ] = None
    networks: Annotated[
        dict[str, ServiceNetwork | None],
        Merge(merge.keyed(None)),
        LongForm(canonical.names),
        KEYED,
    ] = {}
    oom_kill_disable: Annotated[Flag, not_on_swarm(_NO_FIELD)] = False
    oom_score_adj: Number = 0
    pid: Annotated[
        str | None,
        NormalCheck(checks.not_null),
        _NAMESPACE,
        supported("host, service:NAME, container:NAME"),
        not_on_swarm(_NO_NAMESPACE),
    ] = None
    pids_limit: Annotated[Number, in_place()] = 0
    platform: str | None = None
    ports: Annotated[
        tuple[Port, ...],
        Unique(identity.port),
        LongForm(canonical.ports),
        At("*", Default(defaults.values(protocol="tcp", mode="ingress")), Check(checks.host_ip)),
        UNORDERED,
        swarm(supported("ingress: on every node, whichever runs the task; host: on its own")),
    ] = ()
    privileged: Annotated[Flag, not_on_swarm("cap_add gives single capabilities")] = False
    pull_policy: Annotated[
        str | None,
        UNHASHED,
        no_effect("it is about the image's tag, not the container"),
        partly(
            "always, missing, if_not_present, never, build, daily, weekly, every_DURATION",
            lambda policy: policy == "refresh",
        ),
        swarm(
            partly(
                "all but never, build and refresh: nodes pull what they lack",
                lambda policy: policy in ("never", "build", "refresh"),
            )
        ),
    ] = None
    read_only: Flag = False
    restart: Annotated[
        str | None,
        in_place(),
        Check(checks.restart),
    ] = None
    runtime: Annotated[
        str | None,
        only(
            *("runc", "crun", "io.containerd.runc.v2"),
            note="runc or crun, whichever the engine uses",
        ),
        not_on_swarm("a node's default runtime is used"),
    ] = None
    scale: Annotated[OptionalNumber, UNHASHED, SCALES] = None
    secrets: Annotated[
        tuple[FileGrant, ...],
        Unique(identity.granted_at("/run/secrets")),
        At("*", LongForm(canonical.source), Default(defaults.secret_target)),
        UNORDERED,
        Named("source", "target"),
    ] = ()
    security_opt: Annotated[tuple[str, ...], UNORDERED] = ()
    shm_size: Annotated[Bytes, swarm(supported("as a tmpfs at /dev/shm"))] = 0
    stdin_open: Annotated[Flag, swarm(supported("nobody attaches"))] = False
    stop_grace_period: OptionalDuration = None
    stop_signal: str | None = None
    storage_opt: Annotated[
        dict[str, str],
        STRING_MAP,
        partly("size, where the file system has project quotas", lambda o: not {*o} <= {"size"}),
        not_on_swarm(_NO_FIELD),
    ] = {}
    sysctls: Annotated[Labels, KEYED] = {}
    tmpfs: Annotated[Words, Merge(merge.sequence), Unique(identity.name), UNORDERED] = ()
    tty: Flag = False
    ulimits: Annotated[
        dict[str, Ulimit],
        At("*", AS_INT, Merge(merge.replace), LongForm(canonical.ulimit)),
        At("*.soft", AS_INT),
        At("*.hard", AS_INT),
    ] = {}
    use_api_socket: Annotated[
        bool,
        supported("at /var/run/docker.sock, with the caller's registry credentials"),
        Since("2.37.1"),
        not_on_swarm("the socket of which node?"),
    ] = False
    user: str | None = None
    userns_mode: Annotated[
        str | None,
        Namespace("host"),
        only("host", note="host: the engine maps no users"),
        not_on_swarm(_NO_NAMESPACE),
    ] = None
    uts: Annotated[
        str | None,
        Namespace("host", "service"),
        only("host"),
        Since("2.15.1"),
        not_on_swarm(_NO_NAMESPACE),
    ] = None
    volumes: Annotated[
        tuple[ServiceVolume, ...],
        Unique(identity.mount_target),
        At("*", LongForm(canonical.mount), IsPath(paths.mount)),
        UNORDERED,
        Named("target", "source"),
        supported("of the types bind, volume, tmpfs and image"),
        swarm(supported("each node has its own: data does not follow a task to another")),
    ] = ()
    volumes_from: Annotated[
        tuple[str, ...],
        not_on_swarm("containers of two services need not be on one node; use a volume"),
    ] = ()
    working_dir: str | None = None
    pre_start: Annotated[
        tuple[InitStep, ...],
        recreates("the new container waits for the new steps"),
        supported("init containers; see above"),
        swarm(supported("as jobs that run once, whenever they change")),
        Since("5.3.0"),
    ] = ()
    post_start: Annotated[
        tuple[Hook, ...],
        recreates("the new container runs the new hooks"),
        not_on_swarm("a Swarm starts tasks when nobody is there to run it"),
    ] = ()
    pre_stop: Annotated[
        tuple[Hook, ...],
        in_place("what containers record for their stop"),
        not_on_swarm("a Swarm stops tasks when nobody is there to run it"),
    ] = ()

    @cached_property
    def stackr(self) -> ServiceExtension:
        """stackr's own extension of the specification, `x-stackr`."""
        return service_extension(self.extensions)
