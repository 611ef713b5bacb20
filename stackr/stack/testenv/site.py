"""What a test environment asks of the engine that it is on, whichever kind that is.

`HostSite` is an engine of containers, `ClusterSite` one that runs replicas itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stackr.executor.events import EventSink
from stackr.executor.outcome import Outcome
from stackr.planner.plan.model import Plan
from stackr.spec.model.project import Project
from stackr.stack.testenv.blueprint import Blueprint
from stackr.stack.testenv.findings import Spoken, Suspect
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.testenv.timeline import Moment, Timeline
from stackr.stack.testenv.variables import Member

__all__ = ["Evidence", "Logs", "Site", "Standing"]


class Logs(Protocol):
    """The output of an environment, for the dossier. problems: what could not be written."""

    problems: list[str]

    async def keep(self) -> None:
        """Put it where it belongs."""
        ...

    async def discard(self) -> None: ...


class Evidence(Protocol):
    """What an engine knows of an environment that failed, while it is there."""

    async def look(self, timeline: Timeline) -> str:
        """Ask for what runs, for the two below. "" or why the engine does not tell.

        timeline: is told what happened, where nobody told it meanwhile.
        """
        ...

    async def suspects(
        self, project: Project, outcome: Outcome | None, timeline: Sequence[Moment]
    ) -> tuple[Suspect, ...]:
        """The services that failed, or that are not as they should be, the root cause first."""
        ...

    async def output_since(self, since: float) -> tuple[Spoken, ...]:
        """The last lines that were written since then, in Unix seconds."""
        ...

    async def state(self) -> dict[str, Any]:
        """What an inspection shows of everything, unmasked."""
        ...

    async def versions(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What is up. has_failed: something has ended with an error by now."""

    members: tuple[Member, ...] = ()
    has_failed: bool = False


class Site(Protocol):
    """One environment on one engine, from nothing to nothing.

    is_limited: the time of the whole environment counts, as somebody takes it away then.
    """

    @property
    def blueprint(self) -> Blueprint: ...

    @property
    def evidence(self) -> Evidence: ...

    @property
    def is_limited(self) -> bool: ...

    async def hold(self) -> None:
        """See to it that it goes whatever happens, before anything of it is made."""
        ...

    async def listen(self, timeline: Timeline, logs: Logs | None) -> None:
        """Follow what happens, before anything starts."""
        ...

    def open_logs(self, folder: Path, redactor: Redactor) -> Logs:
        """Raises OSError."""
        ...

    async def plan(self, sink: EventSink) -> Plan:
        """What brings it up; images may be pulled for that already."""
        ...

    async def apply(self, outcome: Outcome, sink: EventSink) -> None: ...

    async def standing(self) -> Standing: ...

    async def deafen(self) -> None:
        """Follow nothing any more."""
        ...

    async def keep(self) -> None:
        """Leave it up, and say until when and how to remove it."""
        ...

    async def remove(self) -> None:
        """Take it away, and say so. Raises the first error, after trying all."""
        ...
