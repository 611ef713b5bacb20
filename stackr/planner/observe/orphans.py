"""Containers of a project that its stack file does not account for."""

from __future__ import annotations

from collections.abc import Sequence

from stackr.planner.observe.observed import other_stack_of
from stackr.runtime.types import ContainerState

__all__ = ["is_orphans_warning", "orphans_warning"]


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


def is_orphans_warning(warning: str) -> bool:
    """Whether it is one of these: who reads the plan itself sees each orphan there."""
    return warning.startswith(_FOUND)


_FOUND = "found orphan containers"
