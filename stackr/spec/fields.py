"""Which attribute of a stack file is of which kind: the whole specification, as one table.

The order of the attributes is Docker Compose's: the hash of a service depends on it.
Source: compose-go v2.9.1, types/types.go and types/project.go.
"""

from __future__ import annotations

from stackr.spec import readers
from stackr.spec.decode import EnvFile, Field, Kind, ListOf, MapOf, Scalar, SshKeys, Struct, Ulimit
from stackr.spec.model import build, deploy, mounts, network, project, secret, service, volume
from stackr.spec.units import format_duration, json_number

_NANO = 1_000_000_000


def seconds(nanoseconds: int) -> float:
    """What the models hold for a duration."""
    return nanoseconds / _NANO


def _octal(mode: int) -> str:
    return f"0{mode:o}" if mode >= 0 else f"0-{-mode:o}"


STRING = Scalar(readers.read_string)
TEXT = Scalar(readers.read_string)
BOOL = Scalar(readers.read_bool)
BOOL_POINTER = Scalar(readers.read_bool, pointer=True)
INT = Scalar(readers.read_int)
INT_POINTER = Scalar(readers.read_int, pointer=True)
UINT16 = Scalar(readers.read_unsigned(16))
UINT32 = Scalar(readers.read_unsigned(32))
UINT64 = Scalar(readers.read_unsigned(64))
UINT64_POINTER = Scalar(readers.read_unsigned(64), pointer=True)
SINGLE = Scalar(readers.read_single, write=json_number)
CPUS = Scalar(readers.read_cpus, write=json_number)
BYTES = Scalar(readers.read_bytes, write=str)
DURATION = Scalar(readers.read_duration, write=format_duration, hold=seconds)
DURATION_POINTER = Scalar(readers.read_duration, write=format_duration, hold=seconds, pointer=True)
FILE_MODE = Scalar(readers.read_mode, write=_octal, pointer=True)
COUNT = Scalar(readers.read_count)
COMMAND = Scalar(readers.read_command, hold=tuple, pointer=True)
TEST = Scalar(readers.read_test, hold=tuple)
STRINGS = Scalar(readers.read_strings, hold=tuple)
NUMBERS = Scalar(readers.read_numbers, hold=tuple)
LABELS = Scalar(readers.read_labels)
ENVIRONMENT = Scalar(readers.read_environment)
OPTIONS = Scalar(readers.read_options)
STRING_MAP = Scalar(readers.read_string_map)
MULTI_OPTIONS = Scalar(
    readers.read_multi_options,
    hold=lambda options: {key: tuple(value) for key, value in options.items()},
)
HOSTS = Scalar(
    readers.read_hosts,
    write=readers.write_hosts,
    hold=lambda hosts: {host: tuple(addresses) for host, addresses in hosts.items()},
)
LIST = ListOf(STRING, empty="")
ULIMITS = MapOf(Ulimit())

FILE_GRANT = Struct(
    mounts.FileGrant, source=STRING, target=STRING, uid=STRING, gid=STRING, mode=FILE_MODE
)
BUILD = Struct(
    build.Build,
    context=STRING,
    dockerfile=STRING,
    dockerfile_inline=STRING,
    entitlements=LIST,
    args=ENVIRONMENT,
    provenance=STRING,
    sbom=STRING,
    ssh=SshKeys(),
    labels=LABELS,
    cache_from=STRINGS,
    cache_to=STRINGS,
    no_cache=BOOL,
    additional_contexts=LABELS,
    pull=BOOL,
    extra_hosts=HOSTS,
    isolation=STRING,
    network=STRING,
    target=STRING,
    secrets=ListOf(FILE_GRANT),
    shm_size=BYTES,
    tags=STRINGS,
    ulimits=ULIMITS,
    platforms=STRINGS,
    privileged=BOOL,
)
HOOK = Struct(
    service.Hook,
    command=Field(COMMAND, always=True),
    user=STRING,
    privileged=BOOL,
    working_dir=STRING,
    environment=ENVIRONMENT,
)
_WATCH_HOOK = Struct(service.Hook, pointer=False, closed=False, **HOOK.fields)
DEVELOP = Struct(
    service.Develop,
    watch=ListOf(
        Struct(
            service.WatchTrigger,
            path=Field(TEXT, always=True, zero=""),
            action=Field(TEXT, always=True, zero=""),
            target=STRING,
            exec=_WATCH_HOOK,
            include=LIST,
            ignore=LIST,
            initial_sync=BOOL,
        )
    ),
)
_THROTTLES = ListOf(
    Struct(
        service.ThrottleDevice,
        path=Field(TEXT, always=True, zero="", shown="Path"),
        rate=Field(BYTES, always=True, zero="0", shown="Rate"),
    )
)
BLKIO = Struct(
    service.BlkioConfig,
    weight=UINT16,
    weight_device=ListOf(
        Struct(
            service.WeightDevice,
            path=Field(TEXT, always=True, zero="", shown="Path"),
            weight=Field(UINT16, always=True, zero=0, shown="Weight"),
        )
    ),
    device_read_bps=_THROTTLES,
    device_read_iops=_THROTTLES,
    device_write_bps=_THROTTLES,
    device_write_iops=_THROTTLES,
)
DEVICE_REQUEST = Struct(
    deploy.DeviceRequest,
    capabilities=LIST,
    driver=STRING,
    count=COUNT,
    device_ids=LIST,
    options=LABELS,
)
RESOURCE = Struct(
    deploy.Resource,
    cpus=CPUS,
    memory=BYTES,
    pids=INT,
    devices=ListOf(DEVICE_REQUEST),
    generic_resources=ListOf(
        Struct(
            deploy.GenericResource,
            discrete_resource_spec=Struct(
                deploy.DiscreteResource,
                kind=Field(TEXT, always=True, zero=""),
                value=Field(INT, always=True, zero=0),
            ),
        )
    ),
)
UPDATE = Struct(
    deploy.UpdateConfig,
    parallelism=UINT64_POINTER,
    delay=DURATION,
    failure_action=STRING,
    monitor=DURATION,
    max_failure_ratio=SINGLE,
    order=STRING,
)
DEPLOY = Struct(
    deploy.Deploy,
    mode=STRING,
    replicas=INT_POINTER,
    labels=LABELS,
    update_config=UPDATE,
    rollback_config=UPDATE,
    resources=Struct(deploy.Resources, pointer=False, limits=RESOURCE, reservations=RESOURCE),
    restart_policy=Struct(
        deploy.RestartPolicy,
        condition=STRING,
        delay=DURATION_POINTER,
        max_attempts=UINT64_POINTER,
        window=DURATION_POINTER,
    ),
    placement=Struct(
        deploy.Placement,
        pointer=False,
        constraints=LIST,
        preferences=ListOf(Struct(deploy.Preference, spread=STRING)),
        max_replicas_per_node=UINT64,
    ),
    endpoint_mode=STRING,
)
SERVICE_NETWORK = Struct(
    service.ServiceNetwork,
    aliases=LIST,
    driver_opts=OPTIONS,
    gw_priority=INT,
    interface_name=STRING,
    ipv4_address=STRING,
    ipv6_address=STRING,
    link_local_ips=LIST,
    mac_address=STRING,
    priority=INT,
)
PORT = Struct(
    service.Port,
    name=STRING,
    mode=STRING,
    host_ip=STRING,
    target=UINT32,
    published=STRING,
    protocol=STRING,
    app_protocol=STRING,
)
MOUNT = Struct(
    mounts.ServiceVolume,
    type=STRING,
    source=STRING,
    target=STRING,
    read_only=BOOL,
    consistency=STRING,
    bind=Struct(
        mounts.BindOptions,
        selinux=STRING,
        propagation=STRING,
        create_host_path=BOOL,
        recursive=STRING,
    ),
    volume=Struct(mounts.VolumeOptions, labels=LABELS, nocopy=BOOL, subpath=STRING),
    tmpfs=Struct(mounts.TmpfsOptions, size=BYTES, mode=UINT32),
    image=Struct(mounts.ImageOptions, subpath=STRING),
)
DEPENDENCY = Struct(
    service.Dependency,
    condition=Scalar(readers.read_string),
    restart=BOOL,
    required=Field(Scalar(readers.read_bool), always=True, zero=False),
)
ENV_FILE = EnvFile(
    Struct(
        service.EnvFile, path=STRING, required=Field(BOOL, always=True, zero=False), format=STRING
    )
)
SERVICE = Struct(
    service.Service,
    profiles=LIST,
    annotations=LABELS,
    attach=BOOL_POINTER,
    build=BUILD,
    develop=DEVELOP,
    blkio_config=BLKIO,
    cap_add=LIST,
    cap_drop=LIST,
    cgroup_parent=STRING,
    cgroup=STRING,
    cpu_count=INT,
    cpu_percent=SINGLE,
    cpu_period=INT,
    cpu_quota=INT,
    cpu_rt_period=INT,
    cpu_rt_runtime=INT,
    cpus=SINGLE,
    cpuset=STRING,
    cpu_shares=INT,
    command=Field(COMMAND, always=True),
    configs=ListOf(FILE_GRANT),
    container_name=STRING,
    credential_spec=Struct(service.CredentialSpec, config=STRING, file=STRING, registry=STRING),
    depends_on=MapOf(DEPENDENCY, named=True),
    deploy=DEPLOY,
    device_cgroup_rules=LIST,
    devices=ListOf(Struct(service.Device, source=STRING, target=STRING, permissions=STRING)),
    dns=STRINGS,
    dns_opt=LIST,
    dns_search=STRINGS,
    domainname=STRING,
    entrypoint=Field(COMMAND, always=True),
    provider=Struct(service.Provider, type=STRING, options=MULTI_OPTIONS),
    environment=ENVIRONMENT,
    env_file=ListOf(ENV_FILE),
    expose=NUMBERS,
    extends=Struct(service.Extends, file=STRING, service=STRING),
    external_links=LIST,
    extra_hosts=HOSTS,
    group_add=LIST,
    gpus=ListOf(DEVICE_REQUEST),
    hostname=STRING,
    healthcheck=Struct(
        service.Healthcheck,
        test=TEST,
        timeout=DURATION_POINTER,
        interval=DURATION_POINTER,
        retries=UINT64_POINTER,
        start_period=DURATION_POINTER,
        start_interval=DURATION_POINTER,
        disable=BOOL,
    ),
    image=STRING,
    init=BOOL_POINTER,
    ipc=STRING,
    isolation=STRING,
    labels=LABELS,
    label_file=LIST,
    links=LIST,
    logging=Struct(service.Logging, driver=STRING, options=OPTIONS),
    mem_limit=BYTES,
    mem_reservation=BYTES,
    memswap_limit=BYTES,
    mem_swappiness=BYTES,
    mac_address=STRING,
    models=MapOf(
        Struct(service.ServiceModel, endpoint_var=STRING, model_var=STRING), nullable=True
    ),
    network_mode=STRING,
    networks=MapOf(SERVICE_NETWORK, nullable=True),
    oom_kill_disable=BOOL,
    oom_score_adj=INT,
    pid=STRING,
    pids_limit=INT,
    platform=STRING,
    ports=ListOf(PORT),
    privileged=BOOL,
    pull_policy=STRING,
    read_only=BOOL,
    restart=STRING,
    runtime=STRING,
    scale=INT_POINTER,
    secrets=ListOf(FILE_GRANT),
    security_opt=LIST,
    shm_size=BYTES,
    stdin_open=BOOL,
    stop_grace_period=DURATION_POINTER,
    stop_signal=STRING,
    storage_opt=STRING_MAP,
    sysctls=LABELS,
    tmpfs=STRINGS,
    tty=BOOL,
    ulimits=ULIMITS,
    use_api_socket=BOOL,
    user=STRING,
    userns_mode=STRING,
    uts=STRING,
    volumes=ListOf(MOUNT),
    volumes_from=LIST,
    working_dir=STRING,
    post_start=ListOf(HOOK),
    pre_stop=ListOf(HOOK),
)
NETWORK = Struct(
    network.Network,
    name=STRING,
    driver=STRING,
    driver_opts=OPTIONS,
    ipam=Struct(
        network.Ipam,
        pointer=False,
        driver=STRING,
        config=ListOf(
            Struct(
                network.IpamPool,
                subnet=STRING,
                gateway=STRING,
                ip_range=STRING,
                aux_addresses=LABELS,
            )
        ),
    ),
    external=BOOL,
    internal=BOOL,
    attachable=BOOL,
    labels=LABELS,
    enable_ipv4=BOOL_POINTER,
    enable_ipv6=BOOL_POINTER,
)
VOLUME = Struct(
    volume.Volume,
    name=STRING,
    driver=STRING,
    driver_opts=OPTIONS,
    external=BOOL,
    labels=LABELS,
)
FILE_OBJECT = Struct(
    secret.FileObject,
    name=STRING,
    file=STRING,
    environment=STRING,
    content=STRING,
    external=BOOL,
    labels=LABELS,
    driver=STRING,
    driver_opts=STRING_MAP,
    template_driver=STRING,
)
LANGUAGE_MODEL = Struct(
    project.LanguageModel, name=STRING, model=STRING, context_size=INT, runtime_flags=LIST
)
SECTIONS: dict[str, Kind] = {
    "services": MapOf(SERVICE, named=True),
    "networks": MapOf(NETWORK, named=True),
    "volumes": MapOf(VOLUME, named=True),
    "secrets": MapOf(FILE_OBJECT, named=True),
    "configs": MapOf(FILE_OBJECT, named=True),
    "models": MapOf(LANGUAGE_MODEL),
}
PROJECT = Struct(project.Project, pointer=True, closed=False, **SECTIONS)
