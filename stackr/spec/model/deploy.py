"""`services.*.deploy`: replicas, resources, placement and update rules."""

from typing import Annotated

from stackr.spec import checks, defaults
from stackr.spec.attribute import At, Check, Default, Written
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
    devices: Annotated[
        tuple[DeviceRequest, ...],
        At("*", Default(defaults.all_devices), Check(checks.device)),
    ] = ()
    generic_resources: tuple[GenericResource, ...] = ()


class Resources(Model):
    """What a container may use at most, and what it is promised."""

    limits: Resource | None = None
    reservations: Resource | None = None


class UpdateConfig(Model):
    """How an update, or its rollback, goes."""

    parallelism: Retries = None
    delay: Duration = 0
    failure_action: str | None = None
    monitor: Duration = 0
    max_failure_ratio: Annotated[float, SINGLE, AS_FLOAT] = 0
    order: str | None = None


class RestartPolicy(Model):
    """When a replica is started again."""

    condition: str | None = None
    delay: OptionalDuration = None
    max_attempts: Retries = None
    window: OptionalDuration = None


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

    mode: str | None = None
    replicas: OptionalNumber = None
    labels: Labels = {}
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = Resources.model_construct()
    restart_policy: RestartPolicy | None = None
    placement: Placement = Placement.model_construct()
    endpoint_mode: str | None = None
