"""How a container's settings are stored: the form of the records, apart from the API's bodies.

Version 1 spells its keys as the API did when it was made, and leaves out what has its default. A
body whose field gets another name or meaning needs a translation here, or a new version of the
record with a migration (`record.py`); a test compares both, so that neither changes unseen.
"""

from __future__ import annotations

from typing import Any, TypedDict, cast

from stackr.runtime.engine.container.settings.spec import Config, EndpointSettings, HostConfig

__all__ = [
    "StoredConfig",
    "StoredEndpoint",
    "StoredHostConfig",
    "config_from",
    "endpoint_from",
    "host_config_from",
    "stored_config",
    "stored_endpoint",
    "stored_host_config",
]


class StoredHealthcheck(TypedDict, total=False):
    Test: list[str]
    Interval: int
    Timeout: int
    Retries: int
    StartPeriod: int
    StartInterval: int


class StoredConfig(TypedDict, total=False):
    Image: str
    Cmd: list[str]
    Entrypoint: list[str] | None
    Env: list[str]
    User: str
    WorkingDir: str
    Hostname: str
    Domainname: str
    Labels: dict[str, str]
    Tty: bool
    OpenStdin: bool
    StdinOnce: bool
    AttachStdin: bool
    AttachStdout: bool
    AttachStderr: bool
    ExposedPorts: dict[str, dict[str, Any]]
    Volumes: dict[str, dict[str, Any]]
    StopSignal: str
    StopTimeout: int | None
    Healthcheck: StoredHealthcheck | None
    Shell: list[str]
    NetworkDisabled: bool
    MacAddress: str
    OnBuild: list[str]


class StoredBindOptions(TypedDict, total=False):
    Propagation: str
    NonRecursive: bool
    CreateMountpoint: bool
    ReadOnlyNonRecursive: bool
    ReadOnlyForceRecursive: bool


class StoredDriverConfig(TypedDict, total=False):
    Name: str
    Options: dict[str, str]


class StoredVolumeOptions(TypedDict, total=False):
    NoCopy: bool
    Labels: dict[str, str]
    DriverConfig: StoredDriverConfig
    Subpath: str


class StoredTmpfsOptions(TypedDict, total=False):
    SizeBytes: int
    Mode: int
    Options: list[list[str]]


class StoredImageOptions(TypedDict, total=False):
    Subpath: str


class StoredMount(TypedDict, total=False):
    Type: str
    Source: str
    Target: str
    ReadOnly: bool
    Consistency: str
    BindOptions: StoredBindOptions | None
    VolumeOptions: StoredVolumeOptions | None
    TmpfsOptions: StoredTmpfsOptions | None
    ImageOptions: StoredImageOptions | None


class StoredPortBinding(TypedDict, total=False):
    HostIp: str
    HostPort: str


class StoredRestartPolicy(TypedDict, total=False):
    Name: str
    MaximumRetryCount: int


class StoredLogConfig(TypedDict, total=False):
    Type: str
    Config: dict[str, str]


class StoredDeviceRequest(TypedDict, total=False):
    Driver: str
    Count: int
    DeviceIDs: list[str]
    Capabilities: list[list[str]]
    Options: dict[str, str]


class StoredUlimit(TypedDict, total=False):
    Name: str
    Soft: int
    Hard: int


class StoredDevice(TypedDict, total=False):
    PathOnHost: str
    PathInContainer: str
    CgroupPermissions: str


class StoredWeight(TypedDict, total=False):
    Path: str
    Weight: int


class StoredThrottle(TypedDict, total=False):
    Path: str
    Rate: int


class StoredHostConfig(TypedDict, total=False):
    Memory: int
    MemorySwap: int
    MemoryReservation: int
    MemorySwappiness: int | None
    NanoCpus: int
    CpuShares: int
    CpuQuota: int
    CpuPeriod: int
    CpuRealtimePeriod: int
    CpuRealtimeRuntime: int
    CpusetCpus: str
    CpusetMems: str
    PidsLimit: int | None
    BlkioWeight: int
    BlkioWeightDevice: list[StoredWeight]
    BlkioDeviceReadBps: list[StoredThrottle]
    BlkioDeviceReadIOps: list[StoredThrottle]
    BlkioDeviceWriteBps: list[StoredThrottle]
    BlkioDeviceWriteIOps: list[StoredThrottle]
    Binds: list[str]
    Mounts: list[StoredMount]
    Tmpfs: dict[str, str]
    VolumesFrom: list[str]
    NetworkMode: str
    PortBindings: dict[str, list[StoredPortBinding] | None]
    PublishAllPorts: bool
    RestartPolicy: StoredRestartPolicy
    AutoRemove: bool
    ContainerIDFile: str
    ConsoleSize: list[int]
    Annotations: dict[str, str]
    CapAdd: list[str]
    CapDrop: list[str]
    Privileged: bool
    SecurityOpt: list[str]
    ReadonlyRootfs: bool
    MaskedPaths: list[str] | None
    ReadonlyPaths: list[str] | None
    Dns: list[str]
    DnsSearch: list[str]
    DnsOptions: list[str]
    ExtraHosts: list[str]
    GroupAdd: list[str]
    IpcMode: str
    PidMode: str
    UTSMode: str
    UsernsMode: str
    CgroupnsMode: str
    CgroupParent: str
    ShmSize: int
    Sysctls: dict[str, str]
    Ulimits: list[StoredUlimit]
    Devices: list[StoredDevice]
    DeviceCgroupRules: list[str]
    Init: bool | None
    OomScoreAdj: int
    OomKillDisable: bool
    LogConfig: StoredLogConfig
    Runtime: str
    Links: list[str]
    VolumeDriver: str
    Isolation: str
    StorageOpt: dict[str, str]
    DeviceRequests: list[StoredDeviceRequest]


class StoredIPAMConfig(TypedDict, total=False):
    IPv4Address: str
    IPv6Address: str
    LinkLocalIPs: list[str]


class StoredEndpoint(TypedDict, total=False):
    IPAMConfig: StoredIPAMConfig
    Links: list[str]
    Aliases: list[str]
    MacAddress: str
    DriverOpts: dict[str, str]
    GwPriority: int


def stored_config(config: Config) -> StoredConfig:
    return cast("StoredConfig", config.to_record())


def stored_host_config(host_config: HostConfig) -> StoredHostConfig:
    return cast("StoredHostConfig", host_config.to_record())


def stored_endpoint(settings: EndpointSettings) -> StoredEndpoint:
    return cast("StoredEndpoint", settings.to_record())


def config_from(stored: StoredConfig) -> Config:
    return Config.model_validate(stored)


def host_config_from(stored: StoredHostConfig) -> HostConfig:
    return HostConfig.model_validate(stored)


def endpoint_from(stored: StoredEndpoint) -> EndpointSettings:
    return EndpointSettings.model_validate(stored)
