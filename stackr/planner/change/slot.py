"""One container of a service, as a plan decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stackr.planner.plan.model import FieldChange, Origin, Resource
from stackr.runtime.types import ContainerState

__all__ = ["Slot", "Verdict"]


class Verdict(Enum):
    KEEP = "keep"
    CREATE = "create"
    UPDATE = "update"
    RECREATE = "recreate"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Slot:
    """One container: `name` is what it is to be called, `container` what is there now."""

    service: str
    number: int
    name: str
    verdict: Verdict
    cause: str = ""
    container: ContainerState | None = None
    fields: tuple[FieldChange, ...] = ()
    origin: Origin = Origin.FILE
    touched_by: tuple[str, ...] = ()

    @property
    def resource(self) -> Resource:
        return Resource("container", self.name, self.service, self.number)

    @property
    def is_renamed(self) -> bool:
        """Whether a container that stays has another name than it should."""
        return self.kept is not None and self.kept.name != self.name

    @property
    def is_removed(self) -> bool:
        return self.verdict is Verdict.REMOVE

    @property
    def kept(self) -> ContainerState | None:
        """The container, if it stays."""
        return self.container if self.verdict in (Verdict.KEEP, Verdict.UPDATE) else None
