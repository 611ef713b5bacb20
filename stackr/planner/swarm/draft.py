"""What the parts of one service's rendering share."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackr.planner.desired.keys import replicas
from stackr.planner.swarm.api import Api
from stackr.planner.swarm.faults import Faults
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.rules import Path

__all__ = ["JOBS", "Draft"]

JOBS = ("replicated-job", "global-job")


@dataclass(frozen=True, slots=True)
class Draft:
    """files: the documents' names of configs and secrets, by section and key.

    runs_once: others wait for its end, so that it is a job. nodes: that take tasks, 0 for unknown.
    step: which of the service's `pre_start` this is, None for the service itself.
    """

    project: Project
    service: Service
    faults: Faults
    api: Api
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    runs_once: bool = False
    nodes: int = 0
    step: int | None = None

    @property
    def key(self) -> str:
        """What the document is about, in the stack file."""
        return self.service.name + ("" if self.step is None else f".pre_start.{self.step}")

    @property
    def short_name(self) -> str:
        """Of a step, another one than any service's of the stack file that is likely."""
        return self.service.name + ("" if self.step is None else f"-pre_start-{self.step}")

    @property
    def mode(self) -> str:
        written = (self.service.deploy.mode if self.service.deploy else None) or "replicated"
        if self.runs_once and written not in JOBS:
            return "global-job" if written == "global" else "replicated-job"
        return written

    @property
    def is_job(self) -> bool:
        return self.mode in JOBS

    @property
    def is_global(self) -> bool:
        return self.mode in ("global", "global-job")

    @property
    def replicas(self) -> int:
        return replicas(self.service)

    def at(self, *path: str | int) -> Path:
        """A path of the service in the stack file."""
        return ("services", self.service.name, *path)
