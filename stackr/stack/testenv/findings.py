"""What went wrong with a test environment, as values; and which service began it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackr.planner.plan.graph import closure
from stackr.runtime.types import ContainerState
from stackr.stack.testenv.timeline import Moment

__all__ = [
    "CommandResult",
    "Findings",
    "Place",
    "Readiness",
    "Spoken",
    "Suspect",
    "has_failed",
    "in_order",
    "last_check",
    "problem_of",
]

_OUTPUT_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stack file writes it; counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A service that is not as it should be.

    container: the name, "" where none was made. problem: `exited with code 3`. health: what its
    last failed check said, "" without one. log: the last lines.
    """

    service: str
    container: str
    problem: str
    health: str = ""
    hint: str = ""
    place: Place | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Readiness:
    """How a service came up. failure, skipped: why it did not; "" for one that is ready."""

    service: str
    took_s: float = 0
    failure: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """failure: `exited with code 3`, "" for success. skipped: why it was not run, "" if it was."""

    argv: tuple[str, ...]
    took_s: float = 0
    failure: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line that a container wrote. container: its short name, `web-1`."""

    container: str
    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """headline: the verdict in one line. suspects: the root cause first.

    command: None where there is none. output: the last lines that containers wrote while it ran,
    in the order of their times.
    """

    stack: str
    project: str
    headline: str
    suspects: tuple[Suspect, ...] = ()
    timeline: tuple[Moment, ...] = ()
    services: tuple[Readiness, ...] = ()
    command: CommandResult | None = None
    took_s: float = 0
    output: tuple[Spoken, ...] = ()

    @property
    def root(self) -> Suspect | None:
        return self.suspects[0] if self.suspects else None


def problem_of(state: ContainerState) -> str:
    """What is wrong with a container, as it is now; "" if nothing is."""
    ended = state.state in ("exited", "dead")
    reason = f": {state.error}" if state.error else ""
    if state.oom_killed:
        return f"ran out of memory (exit code {state.exit_code})"
    if ended and state.exit_code:
        return f"exited with code {state.exit_code}{reason}"
    if state.state == "restarting":
        return f"ends and is restarted (exit code {state.exit_code}, {_times(state)})"
    if state.health == "unhealthy":
        return "is unhealthy"
    if state.state == "created" and state.error:
        return f"could not be started{reason}"
    if state.restart_count:
        return f"was restarted ({_times(state)})"
    return ""


def has_failed(state: ContainerState) -> bool:
    """Whether a container is not what a ready environment has: it ended badly, or is ill."""
    ended_badly = state.state in ("exited", "dead") and bool(state.exit_code)
    return ended_badly or state.state == "restarting" or state.health == "unhealthy"


def _times(state: ContainerState) -> str:
    return f"{state.restart_count} time{'' if state.restart_count == 1 else 's'}"


def last_check(state: ContainerState) -> str:
    """`exited 1: "connection refused"` of a health check that failed; "" otherwise."""
    if not state.health_exit_code:
        return ""
    output = " ".join(state.health_output.split())
    if len(output) > _OUTPUT_SHOWN:
        output = f"...{output[-_OUTPUT_SHOWN:]}"
    return f"exited {state.health_exit_code}" + (f': "{output}"' if output else ", with no output")


def in_order(
    suspects: Iterable[Suspect],
    needs: Mapping[str, Iterable[str]],
    timeline: Sequence[Moment],
) -> tuple[Suspect, ...]:
    """The root cause first: a service none of whose dependencies is suspect, by its first failure.

    needs: the services that each service depends on.
    """
    listed = list(suspects)
    suspected = {suspect.service for suspect in listed}
    first_bad: dict[str, float] = {}
    for moment in timeline:
        if moment.is_bad:
            first_bad.setdefault(moment.service, moment.at_s)

    def rank(suspect: Suspect) -> tuple[bool, float, str]:
        below = _below(suspect.service, needs) & suspected
        at_s = first_bad.get(suspect.service, float("inf"))
        return bool(below), at_s, suspect.service

    return tuple(sorted(listed, key=rank))


def _below(service: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """What a service depends on, directly or not; without itself."""
    return closure([service], needs) - {service}
