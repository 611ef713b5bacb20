"""`services.*.deploy`: replicas, resources, placement and update rules."""

from typing import Annotated

from stackr.spec import checks, defaults
from stackr.spec.attribute import (
    MODEL_ONLY,
    UNHASHED,
    At,
    Check,
    Default,
    Effect,
    OnChange,
    Written,
    in_place,
    inert,
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
    Duration,
    Labels,
    OptionalDuration,
    OptionalNumber,
    Retries,
)
from stackr.spec.values import AS_FLOAT, AS_INT, COUNT, CPUS, SINGLE, UINT64

_CLUSTER = no_effect("only a cluster has a use for it")
_SWARM = inert("of a cluster; Docker Compose on one host has no use for it either")
_HONOURED = swarm(supported())
CDI = supported("as files in /etc/cdi or /var/run/cdi describe them: GPUs are nvidia.com/gpu")
SCALES = OnChange(Effect.SCALE, "replicas come and go without the others")
_NOT_NEGATIVE = partly("not negative", lambda seconds: seconds < 0)


class DeviceRequest(Model):
    """Devices asked of a driver; `count` -1 means all."""

    capabilities: tuple[str, ...] = ()
    driver: str | None = None
    count: Annotated[int, COUNT] = 0
    device_ids: tuple[str, ...] = ()
    options: dict[str, str] = {}


class DiscreteResource(Model):
    """A countable resource that the user has named."""

    kind: Annotated[str, Written(always=True, zero="")] = ""
    value: Annotated[int, Written(always=True, zero=0)] = 0


class GenericResource(Model):
    """A resource that the user has defined."""

    discrete_resource_spec: DiscreteResource | None = None


class Resource(Model):
    """Limits or reservations; 0 means none, `cpus` counts whole processors."""

    cpus: Annotated[float, CPUS] = 0
    memory: Bytes = 0
    pids: int = 0
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[GenericResource, ...] = ()


class Resources(Model):
    """What a container may use at most, and what it is promised."""

    limits: Annotated[
        Resource | None,
        in_place(),
        At("devices", MODEL_ONLY),
        At("generic_resources", MODEL_ONLY),
    ] = None
    reservations: Annotated[
        Resource | None,
        At("cpus", _CLUSTER, _SWARM, _HONOURED),
        At("memory", in_place()),
        At("pids", MODEL_ONLY),
        At("devices", CDI, not_on_swarm("use generic_resources")),
        At("devices.*", Default(defaults.all_devices), Check(checks.device)),
        At("generic_resources", _CLUSTER, _SWARM, _HONOURED),
    ] = None


class UpdateConfig(Model):
    """How an update, or its rollback, goes."""

    parallelism: Retries = None
    delay: Annotated[Duration, _NOT_NEGATIVE] = 0
    failure_action: str | None = None
    monitor: Annotated[Duration, _NOT_NEGATIVE] = 0
    max_failure_ratio: Annotated[
        float,
        SINGLE,
        AS_FLOAT,
        partly("from 0 to 1", lambda ratio: not 0 <= ratio <= 1),
    ] = 0
    order: str | None = None


class RestartPolicy(Model):
    """When a replica is started again."""

    condition: str | None = None
    delay: Annotated[OptionalDuration, _CLUSTER, _SWARM, _HONOURED] = None
    max_attempts: Retries = None
    window: Annotated[OptionalDuration, _CLUSTER, _SWARM, _HONOURED] = None


class Preference(Model):
    """A label over whose values replicas are spread."""

    spread: str | None = None


class Placement(Model):
    """Which nodes may run replicas."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: Annotated[int, UINT64, AS_INT] = 0


class Deploy(Model):
    """The deploy section."""

    mode: Annotated[
        str | None,
        no_effect("replicas come and go without the others"),
        only("replicated", "global", note="replicated, global; jobs are not run as such"),
        swarm(only("replicated", "global", "replicated-job", "global-job")),
    ] = None
    replicas: Annotated[OptionalNumber, UNHASHED, SCALES, supported()] = None
    labels: Annotated[Labels, _CLUSTER, _SWARM, _HONOURED] = {}
    update_config: Annotated[
        UpdateConfig | None,
        no_effect("it says how the next update goes"),
        supported("replica by replica; Docker Compose ignores it"),
        _HONOURED,
        At("failure_action", only("pause", "continue", "rollback")),
    ] = None
    rollback_config: Annotated[
        UpdateConfig | None,
        no_effect("it says how the next rollback goes"),
        supported("of an update that fails; else as update_config"),
        At("failure_action", only("pause", "continue")),
    ] = None
    resources: Annotated[Resources, supported()] = Resources.model_construct()
    restart_policy: Annotated[RestartPolicy | None, in_place(), supported()] = None
    placement: Annotated[Placement, _CLUSTER, _SWARM, _HONOURED] = Placement.model_construct()
    endpoint_mode: Annotated[str | None, _CLUSTER, _SWARM, _HONOURED] = None
