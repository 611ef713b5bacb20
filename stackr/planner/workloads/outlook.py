"""How a plan of documents goes for those who use the services: who is away, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackr.planner.change.slot import Verdict
from stackr.planner.plan.model import Action, Operation
from stackr.planner.plan.outlook import Affected, Away, Rollout, Stage
from stackr.planner.workloads.compare import VerdictOf, Verdicts
from stackr.planner.workloads.dialect import Dialect
from stackr.planner.workloads.document import key_of
from stackr.runtime.workloads import DocumentKind

__all__ = ["joined", "renewed", "rollout", "stages"]

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


def renewed(verdicts: Verdicts) -> set[str]:
    """The names of the services that have tasks, and get new ones."""
    before = {(each.kind, key_of(each)) for each in verdicts.obsolete}
    return {
        each.wanted.name
        for each in verdicts.of_kind(DocumentKind.SERVICE)
        if _is_renewed(each, is_known=(each.wanted.kind, each.wanted.key) in before)
    }


def _is_renewed(each: VerdictOf, *, is_known: bool) -> bool:
    """is_known: a job of another name was this one before."""
    if each.verdict is Verdict.CREATE:
        return is_known
    return each.verdict is Verdict.RECREATE or each.replaces_tasks


def joined(verdicts: Verdicts, network: str, dialect: Dialect) -> tuple[Affected, ...]:
    """Whose tasks are made anew to join a network that is."""
    names = renewed(verdicts)
    services = (each.wanted for each in verdicts.of_kind(DocumentKind.SERVICE))
    return tuple(
        Affected(each.name, "recreated")
        for each in services
        if each.name in names and network in dialect.uses(each)
    )
