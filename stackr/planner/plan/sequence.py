"""Two plans as one, of which the second begins when all of the first is done."""

from __future__ import annotations

from dataclasses import replace

from stackr.planner.plan.model import Operation, Plan

__all__ = ["in_sequence"]


def in_sequence(first: Plan, second: Plan) -> Plan:
    """`first`, then `second`, whose operations are numbered on; both are of one project."""
    if first.is_empty or second.is_empty:
        kept = second if first.is_empty else first
        operations = kept.operations
    else:
        operations = (*first.operations, *_shifted(first, second))
    return Plan(
        project=first.project,
        operations=operations,
        changes=(*first.changes, *second.changes),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        unchanged=first.unchanged + second.unchanged,
    )


def _shifted(first: Plan, second: Plan) -> tuple[Operation, ...]:
    by = len(first.operations)
    last = tuple(id for id, followers in first.graph.out_degree if not followers)
    return tuple(
        replace(
            operation,
            id=operation.id + by,
            depends_on=tuple(need + by for need in operation.depends_on) or last,
        )
        for operation in second.operations
    )
