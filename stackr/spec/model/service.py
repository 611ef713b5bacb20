"""`services.*`: one model field for each attribute of the Compose Specification."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from stackr.spec.model.base import Bytes, Duration, Model
from stackr.spec.model.build import Build, Ulimit
from stackr.spec.model.deploy import Deploy, DeviceRequest
from stackr.spec.model.mounts import FileGrant, ServiceVolume

if TYPE_CHECKING:
    from stackr.spec.model.extension import ServiceExtension


class Port(Model):
    """A container port; `published` is a port or a range `low-high` of the host, or None."""

    name: str | None = None
    mode: str | None = None
    host_ip: str | None = None
    target: int = 0
    published: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class ServiceNetwork(Model):
    """How a service joins one network."""

    aliases: tuple[str, ...] = ()
    driver_opts: dict[str, str] = {}
    gw_priority: int = 0
    interface_name: str | None = None
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    link_local_ips: tuple[str, ...] = ()
    mac_address: str | None = None
    priority: int = 0


Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


class Dependency(Model):
    """What must be true of another service before this one starts."""

    condition: Condition = "service_started"
    restart: bool = False
    required: bool = True


class Healthcheck(Model):
    """A probe; `test` starts with CMD, CMD-SHELL or NONE, and () means the image's own."""

    test: tuple[str, ...] = ()
    timeout: Duration | None = None
    interval: Duration | None = None
    retries: int | None = None
    start_period: Duration | None = None
    start_interval: Duration | None = None
    disable: bool = False


class Logging(Model):
    """Where output goes."""

    driver: str | None = None
    options: dict[str, str] = {}


class EnvFile(Model):
    """A file of variables, by absolute path; empty once it is resolved into `environment`."""

    path: str | None = None
    required: bool = False
    format: str | None = None


class Device(Model):
    """A device node of the host; `permissions` are of r, w, m."""

    source: str | None = None
    target: str | None = None
    permissions: str | None = None


class WeightDevice(Model):
    """A block device's weight, 10 to 1000."""

    path: str = ""
    weight: int = 0


class ThrottleDevice(Model):
    """A block device's limit, bytes or operations a second."""

    path: str = ""
    rate: int = 0


class BlkioConfig(Model):
    """Limits of block I/O."""

    weight: int = 0
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

    file: str | None = None
    service: str | None = None


class Hook(Model):
    """A command that runs in the container at a point of its life."""

    command: tuple[str, ...] | None = None
    user: str | None = None
    privileged: bool = False
    working_dir: str | None = None
    environment: dict[str, str | None] = {}


class WatchTrigger(Model):
    """What a change of source files does."""

    path: str = ""
    action: str = ""
    target: str | None = None
    exec: Hook = Hook.model_construct()
    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    initial_sync: bool = False


class Develop(Model):
    """Rules of `watch`."""

    watch: tuple[WatchTrigger, ...] = ()


class Provider(Model):
    """A service that another program runs; each option may have several values."""

    type: str | None = None
    options: dict[str, tuple[str, ...]] = {}


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

    name: str = ""
    profiles: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    attach: bool | None = None
    build: Build | None = None
    develop: Develop | None = None
    blkio_config: BlkioConfig | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroup_parent: str | None = None
    cgroup: str | None = None
    cpu_count: int = 0
    cpu_percent: float = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpus: float = 0
    cpuset: str | None = None
    cpu_shares: int = 0
    command: tuple[str, ...] | None = None
    configs: tuple[FileGrant, ...] = ()
    container_name: str | None = None
    credential_spec: CredentialSpec | None = None
    depends_on: dict[str, Dependency] = {}
    deploy: Deploy | None = None
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str | None = None
    entrypoint: tuple[str, ...] | None = None
    provider: Provider | None = None
    environment: dict[str, str | None] = {}
    env_file: tuple[EnvFile, ...] = ()
    expose: tuple[str, ...] = ()
    extends: Extends | None = None
    external_links: tuple[str, ...] = ()
    extra_hosts: dict[str, tuple[str, ...]] = {}
    group_add: tuple[str, ...] = ()
    gpus: tuple[DeviceRequest, ...] = ()
    hostname: str | None = None
    healthcheck: Healthcheck | None = None
    image: str | None = None
    init: bool | None = None
    ipc: str | None = None
    isolation: str | None = None
    labels: dict[str, str] = {}
    label_file: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    logging: Logging | None = None
    mem_limit: Bytes = 0
    mem_reservation: Bytes = 0
    memswap_limit: Bytes = 0
    mem_swappiness: int = 0
    mac_address: str | None = None
    models: dict[str, ServiceModel | None] = {}
    network_mode: str | None = None
    networks: dict[str, ServiceNetwork | None] = {}
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str | None = None
    pids_limit: int = 0
    platform: str | None = None
    ports: tuple[Port, ...] = ()
    privileged: bool = False
    pull_policy: str | None = None
    read_only: bool = False
    restart: str | None = None
    runtime: str | None = None
    scale: int | None = None
    secrets: tuple[FileGrant, ...] = ()
    security_opt: tuple[str, ...] = ()
    shm_size: Bytes = 0
    stdin_open: bool = False
    stop_grace_period: Duration | None = None
    stop_signal: str | None = None
    storage_opt: dict[str, str] = {}
    sysctls: dict[str, str] = {}
    tmpfs: tuple[str, ...] = ()
    tty: bool = False
    ulimits: dict[str, Ulimit] = {}
    use_api_socket: bool = False
    user: str | None = None
    userns_mode: str | None = None
    uts: str | None = None
    volumes: tuple[ServiceVolume, ...] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str | None = None
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()

    @cached_property
    def stackr(self) -> ServiceExtension:
        """stackr's own extension of the specification, `x-stackr`."""
        from stackr.spec.extension import service_extension

        return service_extension(self.extensions)
