"""What a build tells while it goes on: events, each of one stage and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackr.errors import StackrError
from stackr.runtime.engine.image.progress import ImageProgress

__all__ = [
    "BuildEvent",
    "Built",
    "Notice",
    "Output",
    "Pulling",
    "Report",
    "StageDone",
    "StateBefore",
    "StepContainer",
    "StepDone",
    "StepFailed",
    "StepStarted",
]


@dataclass(frozen=True, slots=True)
class StepStarted:
    """stage: its label; number: of the step, from 1; total: of all that are to be done."""

    stage: str
    number: int
    total: int
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Output:
    """What a step's program writes. stream: 1 or 2."""

    stage: str
    number: int
    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StepContainer:
    """The container of a RUN by its ID: it is to run, or is gone again."""

    stage: str
    number: int
    id: str
    is_gone: bool


@dataclass(frozen=True, slots=True)
class StepDone:
    """layer: the diff ID of what the step made, "" for none. duration_s: 0 where it was cached."""

    stage: str
    number: int
    cached: bool
    layer: str
    size_bytes: int
    duration_s: float
    state: str


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage is whole."""

    stage: str


@dataclass(frozen=True, slots=True)
class Pulling:
    """Progress of a base image's pull."""

    stage: str
    number: int
    progress: ImageProgress


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning about the Dockerfile or the arguments."""

    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """The end: the image, and the names that it has been given.

    keys: of the steps, where they were asked for; own_keys: of those that the image is made of.
    """

    image_id: str
    tags: tuple[str, ...]
    keys: tuple[str, ...] = ()
    own_keys: tuple[str, ...] = ()


BuildEvent = StepStarted | StepContainer | Output | StepDone | StageDone | Pulling | Notice | Built
Report = Callable[[BuildEvent], None]


@dataclass(frozen=True, slots=True)
class StateBefore:
    """An image of what a step began with, the step's variables, and the shell that it runs in."""

    image: str
    environment: tuple[str, ...]
    shell: tuple[str, ...]


class StepFailed(StackrError):
    """A RUN's program ended with another code than 0. command: its words as they were run.

    before: where that was to be kept.
    """

    status = 400

    def __init__(self, command: str, code: int, *, line: int, end_line: int, stage: str) -> None:
        super().__init__(f"The command '{command}' returned a non-zero code: {code}")
        self.code = code
        self.line = line
        self.end_line = end_line
        self.stage = stage
        self.before: StateBefore | None = None
