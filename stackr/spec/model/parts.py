"""What attributes of a service consist of: ports, health checks, dependencies and so on."""

from typing import Annotated, ClassVar, Literal

from stackr.spec import canonical, checks, decode, merge, paths
from stackr.spec.attribute import (
    ORDERED,
    Check,
    Effect,
    IsPath,
    LongForm,
    Merge,
    OnChange,
    Since,
    Written,
    no_effect,
    not_on_swarm,
    only,
    partly,
    supported,
    swarm,
)
from stackr.spec.model.base import Model
from stackr.spec.model.types import (
    Bytes,
    Command,
    Distinct,
    Flag,
    OptionalDuration,
    Options,
    Retries,
)
from stackr.spec.values import AS_INT, MULTI_OPTIONS, TEST, UINT16, UINT32

_NO_FIELD = "a Swarm's service has no such setting"
_OWN_ADDRESS = "the Swarm gives each task its addresses"
_FOR_PEOPLE = "it is for people and other tools"


class Port(Model):
    """A container port; `published` is a port or a range `low-high` of the host, or None."""

    name: Annotated[str | None, no_effect(_FOR_PEOPLE)] = None
    mode: str | None = None
    host_ip: Annotated[
        str | None,
        swarm(only("0.0.0.0", note="a Swarm publishes on all addresses of its nodes")),
    ] = None
    target: Annotated[int, UINT32, AS_INT] = 0
    published: Annotated[
        str | None,
        swarm(partly("one port; a Swarm chooses from no range", lambda ports: "-" in ports)),
    ] = None
    protocol: str | None = None
    app_protocol: Annotated[str | None, no_effect(_FOR_PEOPLE), Since("2.26.0")] = None


class ServiceNetwork(Model):
    """How a service joins one network."""

    aliases: Distinct = ()
    driver_opts: Annotated[Options, Since("2.27.1")] = {}
    gw_priority: Annotated[int, Since("2.33.0"), not_on_swarm(_NO_FIELD)] = 0
    interface_name: Annotated[str | None, Since("2.36.0"), not_on_swarm(_NO_FIELD)] = None
    ipv4_address: Annotated[str | None, not_on_swarm(_OWN_ADDRESS)] = None
    ipv6_address: Annotated[str | None, not_on_swarm(_OWN_ADDRESS)] = None
    link_local_ips: Annotated[Distinct, not_on_swarm(_OWN_ADDRESS)] = ()
    mac_address: Annotated[str | None, not_on_swarm(_OWN_ADDRESS)] = None
    priority: int = 0


Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]


class Dependency(Model):
    """What must be true of another service before this one starts."""

    condition: Annotated[
        Condition,
        OnChange(Effect.TOLD, "what containers record for `stop` and `down`"),
    ] = "service_started"
    restart: Annotated[
        bool,
        OnChange(Effect.TOLD, "what containers record for other tools"),
        Since("2.17.0"),
    ] = False
    required: Annotated[
        bool,
        Written(always=True, zero=False),
        no_effect("counts at the next start"),
        Since("2.20.0"),
    ] = True


class Healthcheck(Model):
    """A probe; `test` starts with CMD, CMD-SHELL or NONE, and () means the image's own."""

    test: Annotated[tuple[str, ...], TEST, Merge(merge.replace), ORDERED] = ()
    timeout: OptionalDuration = None
    interval: OptionalDuration = None
    retries: Retries = None
    start_period: OptionalDuration = None
    start_interval: Annotated[OptionalDuration, Since("2.20.2")] = None
    disable: Flag = False


class Logging(Model):
    """Where output goes."""

    driver: Annotated[
        str | None,
        only("json-file", "local", "none", "syslog", "gelf", "fluentd", "journald"),
        swarm(supported("whatever the nodes have")),
    ] = None
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
    weight_device: Annotated[tuple[WeightDevice, ...], supported()] = ()
    device_read_bps: Annotated[tuple[ThrottleDevice, ...], supported()] = ()
    device_read_iops: Annotated[tuple[ThrottleDevice, ...], supported()] = ()
    device_write_bps: Annotated[tuple[ThrottleDevice, ...], supported()] = ()
    device_write_iops: Annotated[tuple[ThrottleDevice, ...], supported()] = ()


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


class InitStep(Model):
    """A container that runs to its end before the service's own start.

    image: the service's where none is given. per_replica: before each of them, in its volumes;
    else once, before any of them starts.
    """

    command: Command = None
    image: str | None = None
    user: str | None = None
    privileged: Annotated[bool, not_on_swarm("a Swarm's tasks never are")] = False
    working_dir: str | None = None
    environment: dict[str, str | None] = {}
    per_replica: Annotated[
        bool, not_on_swarm("nobody is there to run it when a Swarm starts a replica")
    ] = False


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
