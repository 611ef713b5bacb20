"""What should be up, and how it comes to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackr.planner.desired.project import Desired
from stackr.planner.plan.options import UpOptions
from stackr.spec.model.project import Project

__all__ = ["Goal"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What should be up. action: how the history calls it. saved: the plan that was approved.

    ttl_s: after how long the engine takes it down; None for never. announcement: is told before.
    """

    project: Project
    wanted: Desired
    options: UpOptions
    action: str = "up"
    saved: Mapping[str, Any] | None = None
    ttl_s: float | None = None
    announcement: str = ""
