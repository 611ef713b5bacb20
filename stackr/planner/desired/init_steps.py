"""The steps of `pre_start` as containers: what each is made of, and by what it is known again.

A step reads the service as its container records it, so that one that was created and never started
can still be started later.
Source: Compose Specification, "pre_start"; docker/compose v5.5, pkg/compose/pre_start.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackr.planner.desired.config_hash import canonical_json, digest
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig, ContainerFile, NetworkAttachment

__all__ = ["Surroundings", "step_config", "step_hash", "step_images", "step_name", "steps_of"]

Spec = Mapping[str, Any]
"""A service as JSON, as `service_spec` makes it and its containers record it."""

_KEPT_LABELS = (
    labels.PROJECT,
    labels.SERVICE,
    labels.WORKING_DIR,
    labels.CONFIG_FILES,
    labels.VERSION,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a step shares with the service's container, beside its volumes.

    labels: all of the container's. networks: their names, the main one first.
    """

    labels: Mapping[str, str]
    network_mode: str = ""
    networks: Sequence[str] = ()
    files: tuple[ContainerFile, ...] = ()
    platform: str = ""


def steps_of(spec: Spec) -> Sequence[Mapping[str, Any]]:
    steps: Sequence[Mapping[str, Any]] = spec.get("pre_start") or ()
    return steps


def step_images(spec: Spec) -> tuple[str, ...]:
    """The images that steps have beside the service's own."""
    return tuple(filter(None, (step.get("image") for step in steps_of(spec))))


def step_name(base: str, index: int) -> str:
    """No container of a service is called so: those end with their number, after a dash."""
    return f"{base}-pre_start.{index}"


def step_hash(spec: Spec, index: int) -> str:
    """Another one for another step; what else the service has is in its container's own hash."""
    return digest(canonical_json([index, steps_of(spec)[index]]))


def step_config(spec: Spec, index: int, around: Surroundings) -> ContainerConfig:
    """The container of a step; the executor adds whose volumes it has.

    Without an image of its own it is the service's user; its entrypoint is the image's in any
    case. It has no aliases and no fixed addresses: nobody is to take it for the service.
    """
    step = steps_of(spec)[index]
    is_own = step.get("image") in (None, spec["image"])
    user = step.get("user") or (spec.get("user") if is_own else None)
    environment = {**(spec.get("environment") or {}), **(step.get("environment") or {})}
    kept = {name: around.labels[name] for name in _KEPT_LABELS if name in around.labels}
    command = step.get("command")
    return ContainerConfig(
        image=step.get("image") or spec["image"],
        command=None if command is None else tuple(command),
        environment=environment,
        labels={
            **kept,
            labels.ONEOFF: "True",
            labels.HOOK: labels.PRE_START,
            labels.STEP_HASH: step_hash(spec, index),
        },
        user=user or "",
        working_dir=step.get("working_dir") or spec.get("working_dir") or "",
        privileged=bool(step.get("privileged")),
        platform=around.platform,
        files=around.files,
        network_mode=around.network_mode,
        networks=tuple(NetworkAttachment(name) for name in around.networks),
    )
