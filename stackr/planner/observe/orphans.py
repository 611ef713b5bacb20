"""Containers of a project that its stack file does not account for."""

from __future__ import annotations

from collections.abc import Sequence

from stackr.planner.observe.observed import other_stack_of
from stackr.runtime.types import ContainerState

__all__ = ["ORPHANS_ADVICE", "is_told_by_plan", "orphans_warning"]

ORPHANS_ADVICE = (
    "if their services were removed from the stack file, --remove-orphans cleans them up"
)


def orphans_warning(orphans: Sequence[ContainerState], working_dir: str, advice: str) -> str:
    """That they are there, and what to do.

    `advice` is for those that this stack has made itself: to remove another one's would be wrong.
    """
    names = ", ".join(container.name for container in orphans)
    others = sorted({other_stack_of(container, working_dir) for container in orphans})
    if "" not in others:
        advice = (
            f"{', '.join(others)} made them: another name, by -p or `name:`, tells the stacks apart"
        )
    return f"{_FOUND} ({names}) for this project: {advice}"


def is_told_by_plan(warning: str) -> bool:
    """Whether it is about a stack's own orphans, each of which a plan shows with this advice."""
    return warning.startswith(_FOUND) and warning.endswith(ORPHANS_ADVICE)


_FOUND = "found orphan containers"
