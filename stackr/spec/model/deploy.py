"""`services.*.deploy`: replicas, resources, placement and update rules."""

from __future__ import annotations

from stackr.spec.model.base import Bytes, Duration, Model


class DeviceRequest(Model):
    """Devices asked of a driver; `count` -1 means all."""

    capabilities: tuple[str, ...] = ()
    driver: str | None = None
    count: int = 0
    device_ids: tuple[str, ...] = ()
    options: dict[str, str] = {}


class DiscreteResource(Model):
    """A countable resource that the user has named."""

    kind: str = ""
    value: int = 0


class GenericResource(Model):
    """A resource that the user has defined."""

    discrete_resource_spec: DiscreteResource | None = None


class Resource(Model):
    """Limits or reservations; 0 means none, `cpus` counts whole processors."""

    cpus: float = 0
    memory: Bytes = 0
    pids: int = 0
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[GenericResource, ...] = ()


class Resources(Model):
    """What a container may use at most, and what it is promised."""

    limits: Resource | None = None
    reservations: Resource | None = None


class UpdateConfig(Model):
    """How an update, or its rollback, goes."""

    parallelism: int | None = None
    delay: Duration = 0
    failure_action: str | None = None
    monitor: Duration = 0
    max_failure_ratio: float = 0
    order: str | None = None


class RestartPolicy(Model):
    """When a replica is started again."""

    condition: str | None = None
    delay: Duration | None = None
    max_attempts: int | None = None
    window: Duration | None = None


class Preference(Model):
    """A label over whose values replicas are spread."""

    spread: str | None = None


class Placement(Model):
    """Which nodes may run replicas."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int = 0


class Deploy(Model):
    """The deploy section."""

    mode: str | None = None
    replicas: int | None = None
    labels: dict[str, str] = {}
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = Resources.model_construct()
    restart_policy: RestartPolicy | None = None
    placement: Placement = Placement.model_construct()
    endpoint_mode: str | None = None
