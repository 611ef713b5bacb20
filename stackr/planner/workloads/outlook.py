"""How a plan of documents goes for those who use the services: who is away, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackr.planner.plan.model import Action, Operation
from stackr.planner.plan.outlook import Away, Rollout, Stage

__all__ = ["rollout", "stages"]

_STARTS = (Action.CREATE_SERVICE, Action.UPDATE_SERVICE, Action.RESTART_SERVICE)


def rollout(attributes: Mapping[str, Any]) -> Rollout:
    """How a service's tasks are replaced. attributes: in the stack file's words."""
    deploy = attributes.get("deploy", {})
    config = deploy.get("update_config", {})
    replicas = deploy.get("replicas", 1)
    size = config.get("parallelism", 1)
    order = config.get("order", "stop-first")
    is_split = deploy.get("mode") == "global" or 0 < size < replicas
    away: Away = "no" if order == "start-first" else "partly" if is_split else "yes"
    return Rollout(order, replicas, size, is_rolling=True, away=away)


def stages(operations: Iterable[Operation]) -> tuple[Stage, ...]:
    """The waves in which services are made or changed."""
    depth: dict[int, int] = {}
    waves: dict[int, list[str]] = {}
    for operation in operations:
        is_start = operation.action in _STARTS
        above = max((depth[need] for need in operation.depends_on), default=0)
        depth[operation.id] = above + is_start
        if is_start:
            waves.setdefault(above, []).append(operation.resource.service)
    return tuple(Stage("start", tuple(sorted(waves[each]))) for each in sorted(waves))
