"""Starts and stops with the hooks that belong to them: `post_start` after, `pre_stop` before.

The hooks of a container that exists are those it was made with.
Source: Compose Specification, "Using lifecycle hooks".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stackr.planner.change.slots import stored_spec
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Resource
from stackr.planner.plan.payloads import RestartContainer, RunHook, StartContainer, StopContainer
from stackr.runtime.types import ContainerState

__all__ = ["Hook", "add_restart", "add_start", "add_stop", "hooks_of"]

Hook = Mapping[str, Any]
"""A hook as a service's spec has it."""


def hooks_of(container: ContainerState, kind: str) -> Sequence[Hook]:
    """The container's own hooks. kind: post_start or pre_stop."""
    hooks: Sequence[Hook] = (stored_spec(container.labels) or {}).get(kind, ())
    return hooks


def add_start(
    builder: Builder,
    resource: Resource,
    ref: str,
    cause: str,
    after: Iterable[Entry],
    hooks: Iterable[Hook],
) -> Entry:
    """Start a container, then run its hooks, one after the other; the last entry."""
    entry = builder.add(Action.START_CONTAINER, resource, cause, StartContainer(ref), after)
    return _add_hooks(builder, resource, ref, "post_start", hooks, [entry])[0]


def add_stop(
    builder: Builder,
    container: ContainerState,
    resource: Resource,
    cause: str,
    timeout_s: float | None,
    after: Iterable[Entry] = (),
    *,
    is_optional: bool = False,
) -> Entry:
    """Stop a container after its hooks, whose failure holds nothing up."""
    before = _add_pre_stop(builder, container, resource, after)
    payload = StopContainer(container.id, timeout_s)
    return builder.add(
        Action.STOP_CONTAINER, resource, cause, payload, before, is_optional=is_optional
    )


def add_restart(
    builder: Builder,
    container: ContainerState,
    resource: Resource,
    cause: str,
    timeout_s: float | None,
    after: Iterable[Entry] = (),
) -> Entry:
    """Restart a container, with the hooks of its stop and of its start."""
    before = _add_pre_stop(builder, container, resource, after)
    payload = RestartContainer(container.id, timeout_s)
    entry = builder.add(Action.RESTART_CONTAINER, resource, cause, payload, before)
    hooks = hooks_of(container, "post_start")
    return _add_hooks(builder, resource, container.id, "post_start", hooks, [entry])[0]


def _add_pre_stop(
    builder: Builder, container: ContainerState, resource: Resource, after: Iterable[Entry]
) -> list[Entry]:
    hooks = hooks_of(container, "pre_stop") if container.state == "running" else ()
    return _add_hooks(
        builder, resource, container.id, "pre_stop", hooks, [*after], is_optional=True
    )


def _add_hooks(
    builder: Builder,
    resource: Resource,
    ref: str,
    kind: str,
    hooks: Iterable[Hook],
    after: list[Entry],
    *,
    is_optional: bool = False,
) -> list[Entry]:
    """What follows all of them: the last hook, or `after` where there are none."""
    for hook in hooks:
        call = _call(ref, hook)
        after = [builder.add(Action.RUN_HOOK, resource, kind, call, after, is_optional=is_optional)]
    return after


def _call(ref: str, hook: Hook) -> RunHook:
    environment: Mapping[str, str | None] = hook.get("environment") or {}
    return RunHook(
        ref,
        tuple(hook.get("command") or ()),
        user=hook.get("user") or "",
        privileged=bool(hook.get("privileged")),
        working_dir=hook.get("working_dir") or "",
        environment=tuple(f"{k}={v}" for k, v in environment.items() if v is not None),
    )
