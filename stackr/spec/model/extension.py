"""`x-stackr`: what stackr adds to the Compose Specification, at the top level and in a service.

`Project.stackr` and `Service.stackr` give it; `stackr.spec.extension` checks it when a stack is
loaded. The JSON Schema in docs/schema is made from these models, so each field is described here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, WithJsonSchema

from stackr.spec.model.base import Duration, Model

__all__ = ["Level", "Probe", "ProjectExtension", "ServiceExtension"]

Level: TypeAlias = Literal["error", "warn", "ignore"]


def _written(*types: str, **rules: Any) -> WithJsonSchema:
    """How a value is written in a file, where that is not how the model holds it."""
    return WithJsonSchema({"type": types[0] if len(types) == 1 else list(types), **rules})


_Duration: TypeAlias = Annotated[Duration, _written("string", format="duration", examples=["10s"])]
_Port: TypeAlias = Annotated[int, _written("integer", "string", minimum=1, maximum=65535)]
_Count: TypeAlias = Annotated[int, _written("integer", "string", minimum=1)]
_Flag: TypeAlias = Annotated[bool, _written("boolean", "string")]
_Status: TypeAlias = Annotated[
    tuple[tuple[int, int], ...],
    _written("string", "integer", examples=["200-399", "200,204"]),
]
_Policy: TypeAlias = Annotated[
    dict[str, Level],
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

PROBE_KINDS = ("tcp", "http", "log", "file")


def _alone(kind: str) -> dict[str, Any]:
    """What a probe of one kind may not have beside it; an override file may have none of them."""
    others = [*PROBE_KINDS] if kind == "http" else [*PROBE_KINDS, "status"]
    return {"properties": {other: False for other in others if other != kind}}


class Probe(Model):
    """How stackr finds out whether a container of the service is ready: one of four ways."""

    model_config = ConfigDict(
        json_schema_extra={"dependencies": {kind: _alone(kind) for kind in PROBE_KINDS}}
    )

    tcp: _Port | None = Field(None, description="A port of the container that takes connections.")
    http: str | None = Field(
        None,
        description="A URL, as the container sees it, that answers a GET with a good status.",
        pattern=r"^(https?://|\$)",
    )
    status: _Status = Field(
        ((200, 399),), description="The good statuses of `http`: codes and ranges. Default: 200-399"
    )
    log: str | None = Field(
        None, description="A regular expression that some line of the container's output matches."
    )
    file: str | None = Field(
        None,
        description="The absolute path of a file that exists in the container.",
        pattern=r"^[/$]",
    )
    interval: _Duration | None = Field(
        None, description="The time between two attempts. Default: 30s"
    )
    timeout: _Duration | None = Field(
        None, description="How long one attempt may take. Default: 30s"
    )
    retries: _Count | None = Field(
        None, description="So many failures, one after the other, make it unhealthy. Default: 3"
    )
    start_period: _Duration | None = Field(
        None, description="How long failures do not count after the start. Default: 0s"
    )
    start_interval: _Duration | None = Field(
        None, description="The time between two attempts in the start period. Default: 5s"
    )

    @property
    def kind(self) -> str:
        """The way: tcp, http, log or file."""
        return next(kind for kind in PROBE_KINDS if getattr(self, kind) is not None)


class ServiceExtension(Model):
    """`services.*.x-stackr`. Times are in seconds."""

    probe: Probe | None = Field(
        None, description="How stackr finds out whether a container is ready; no healthcheck.test."
    )
    ready_timeout: _Duration | None = Field(
        None, description="How long the service may take to become ready."
    )
    stateful: _Flag | None = Field(
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
