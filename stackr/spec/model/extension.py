"""`x-stackr`: what stackr adds to the Compose Specification, at the top level and in a service.

`Project.stackr` and `Service.stackr` give it; `stackr.spec.extension` checks it when a stack is
loaded. The JSON Schema in docs/schema is made from these models, so each field is described here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

from pydantic import ConfigDict, Field, WithJsonSchema

from stackr.spec import extension_readers as readers
from stackr.spec.attribute import in_place, no_effect, not_on_swarm, supported, swarm
from stackr.spec.decode import EXTENSION, Faults, Scalar, Struct, Unit
from stackr.spec.extension_readers import PROBE_KINDS
from stackr.spec.model.base import Model
from stackr.spec.structs import struct_of
from stackr.spec.values import BOOL_POINTER, seconds

__all__ = [
    "Level",
    "Probe",
    "ProjectExtension",
    "RestartUnhealthy",
    "ServiceExtension",
    "project_extension",
    "service_extension",
]

Level: TypeAlias = Literal["error", "warn", "ignore"]


def _written(*types: str, **rules: Any) -> WithJsonSchema:
    """How a value is written in a file, where that is not how the model holds it."""
    return WithJsonSchema({"type": types[0] if len(types) == 1 else list(types), **rules})


_duration = _written("string", format="duration", examples=["10s"])
_Time: TypeAlias = Annotated[
    float | None,
    Scalar(readers.read_time, hold=seconds, unit=Unit.SECONDS, pointer=True),
    _duration,
]
_Period: TypeAlias = Annotated[
    float | None,
    Scalar(readers.read_period, hold=seconds, unit=Unit.SECONDS, pointer=True),
    _duration,
]
_Port: TypeAlias = Annotated[
    int | None,
    Scalar(readers.read_port),
    _written("integer", "string", minimum=1, maximum=65535),
]
_Count: TypeAlias = Annotated[
    int | None, Scalar(readers.read_count), _written("integer", "string", minimum=1)
]
_Attempts: TypeAlias = Annotated[
    int | None, Scalar(readers.read_attempts), _written("integer", "string", minimum=0)
]
_Flag: TypeAlias = Annotated[bool | None, BOOL_POINTER, _written("boolean", "string")]
_Status: TypeAlias = Annotated[
    tuple[tuple[int, int], ...],
    Scalar(readers.read_status),
    _written("string", "integer", examples=["200-399", "200,204"]),
]
_Policy: TypeAlias = Annotated[
    dict[str, Level],
    readers.POLICY,
    WithJsonSchema(
        {
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "additionalProperties": {"enum": ["error", "warn", "ignore"]},
                },
            ]
        }
    ),
]


def _alone(kind: str) -> dict[str, Any]:
    """What a probe of one kind may not have beside it; an override file may have none of them."""
    others = [*PROBE_KINDS] if kind == "http" else [*PROBE_KINDS, "status"]
    return {"properties": {other: False for other in others if other != kind}}


class Probe(Model):
    """How stackr finds out whether a container of the service is ready: one of four ways."""

    model_config = ConfigDict(
        json_schema_extra={"dependencies": {kind: _alone(kind) for kind in PROBE_KINDS}}
    )

    read_as: ClassVar[type[Struct]] = readers.ProbeStruct

    tcp: _Port = Field(None, description="A port of the container that takes connections.")
    http: Annotated[str | None, Scalar(readers.read_url)] = Field(
        None,
        description="A URL, as the container sees it, that answers a GET with a good status.",
        pattern=r"^(https?://|\$)",
    )
    status: _Status = Field(
        ((200, 399),), description="The good statuses of `http`: codes and ranges. Default: 200-399"
    )
    log: Annotated[str | None, Scalar(readers.read_pattern)] = Field(
        None, description="A regular expression that some line of the container's output matches."
    )
    file: Annotated[str | None, Scalar(readers.read_container_path)] = Field(
        None,
        description="The absolute path of a file that exists in the container.",
        pattern=r"^[/$]",
    )
    interval: _Time = Field(None, description="The time between two attempts. Default: 30s")
    timeout: _Time = Field(None, description="How long one attempt may take. Default: 30s")
    retries: _Count = Field(
        None, description="This many failures in a row make it unhealthy. Default: 3"
    )
    start_period: _Period = Field(
        None, description="How long failures do not count after the start. Default: 0s"
    )
    start_interval: _Time = Field(
        None, description="The time between two attempts in the start period. Default: 5s"
    )

    @property
    def kind(self) -> str:
        """The way: tcp, http, log or file."""
        return next(kind for kind in PROBE_KINDS if getattr(self, kind) is not None)


class RestartUnhealthy(Model):
    """Whether, and how often, a container that has become unhealthy is restarted.

    It may be `true`, for what is said of nothing; `false` is as good as absent.
    """

    model_config = ConfigDict(json_schema_extra={"type": ["boolean", "string", "object"]})

    read_as: ClassVar[type[Struct]] = readers.RestartUnhealthyStruct

    max_attempts: _Attempts = Field(
        None, description="This many restarts in a row, 0 for no limit. Default: 5"
    )
    delay: _Period = Field(
        None,
        description="How long it runs, at least, before the second; twice as long before each"
        " further one, up to 10m. Default: 10s",
    )
    window: _Period = Field(
        None, description="How long it is healthy until they are counted anew. Default: 5m"
    )


class ServiceExtension(Model):
    """`services.*.x-stackr`. Times are in seconds."""

    probe: Annotated[Probe | None, not_on_swarm("use healthcheck.test")] = Field(
        None, description="How stackr finds out whether a container is ready; no healthcheck.test."
    )
    ready_timeout: Annotated[_Time, no_effect("counts at the next `up`")] = Field(
        None, description="How long the service may take to become ready."
    )
    restart_unhealthy: Annotated[
        RestartUnhealthy | None,
        in_place("the engine's label"),
        swarm(supported("as a Swarm always does, without limits or waits")),
    ] = Field(None, description="Whether a container that has become unhealthy is restarted.")
    stateful: Annotated[_Flag, no_effect("it is about the plan's risks")] = Field(
        None,
        description="Whether to recreate it is a risk. Default: whether it mounts a named volume",
    )


class ProjectExtension(Model):
    """`x-stackr` at the top level."""

    policy: _Policy = Field(
        {},
        description="What each risk of a plan means, by its ID: error, warn or ignore;"
        " or the path of a YAML file that says so.",
    )


def service_extension(extensions: Mapping[str, Any]) -> ServiceExtension:
    """The extension in a service's `x-*` keys, which have been checked."""
    return cast("ServiceExtension", _read(ServiceExtension, extensions))


def project_extension(
    extensions: Mapping[str, Any], policy: dict[str, Level] | None
) -> ProjectExtension:
    """The extension in a project's `x-*` keys; `policy` is of the file that it names, if any."""
    own = {} if policy is None else {"policy": policy}
    return cast("ProjectExtension", _read(ProjectExtension, extensions, own))


def _read(
    model: type[Model],
    extensions: Mapping[str, Any],
    own: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    faults = Faults()
    struct = struct_of(model, closed=True)
    typed = struct.decode(extensions.get(EXTENSION) or {}, (EXTENSION,), faults)
    if faults.found:
        raise ValueError(f"{EXTENSION}: {faults.found[0].message}")
    return struct.model_of(typed, own)
