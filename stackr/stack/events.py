"""What is told while work on a stack goes on: beside the plan's own events, these.

A report is called on the event loop's thread, in the order of what happens, and returns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stackr.executor.events import (
    Event,
    OperationFailed,
    OperationFinished,
    OperationProgress,
    OperationSkipped,
    OperationStarted,
    PlanFinished,
    PlanStarted,
)
from stackr.planner.plan.model import Plan
from stackr.stack.failure import FailureReport
from stackr.stack.testenv.findings import Findings
from stackr.stack.testenv.variables import Member

__all__ = [
    "EnvironmentFailed",
    "EnvironmentReady",
    "Foreseen",
    "Message",
    "OperationFailed",
    "OperationFinished",
    "OperationProgress",
    "OperationSkipped",
    "OperationStarted",
    "OperationsFailed",
    "PlanFinished",
    "PlanStarted",
    "Planned",
    "Report",
    "StackEvent",
    "Warned",
    "ignore",
]


@dataclass(frozen=True, slots=True)
class Message:
    """A line for the reader: what is waited for, what comes next, what is done."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """What does not keep the work from going on, and should be known."""

    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What is going to be done, which may be nothing."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be done, in a dry run."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class OperationsFailed:
    """A plan was not carried out, or only optional parts of it were not.

    advice: how to go on; None for what is usual, "" where nothing is advised.
    """

    report: FailureReport
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentReady:
    """A test's environment answers. variables: those of the command, by name."""

    project: str
    members: tuple[Member, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EnvironmentFailed:
    """A test failed, and why. artifacts: the folder that documents it, or ""."""

    findings: Findings
    artifacts: str = ""


StackEvent: TypeAlias = (
    Event
    | Message
    | Warned
    | Planned
    | Foreseen
    | OperationsFailed
    | EnvironmentReady
    | EnvironmentFailed
)

Report: TypeAlias = Callable[[StackEvent], object]


def ignore(event: StackEvent, /) -> None:
    """A report for nobody."""
