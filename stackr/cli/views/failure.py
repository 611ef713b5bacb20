"""The failure report's text and JSON: what failed, the last words, what was done, how to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from stackr.cli.views.output import Output
from stackr.cli.views.view import done, resource_label
from stackr.planner.plan.model import Action, Operation, Source

__all__ = ["Cause", "Report", "cause_lines", "failure_json", "failure_lines"]

_LISTED = 6
_ADVICE = (
    "fix the cause and run the same command again: it continues from here; "
    '"stackr down" removes what was made'
)


class Cause(Protocol):
    """One root cause; see `stackr.stack.failure`."""

    @property
    def operation(self) -> Operation: ...
    @property
    def subject(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str | None: ...
    @property
    def state(self) -> str: ...
    @property
    def log(self) -> Sequence[str]: ...
    @property
    def attribute(self) -> str: ...
    @property
    def source(self) -> Source | None: ...
    @property
    def excerpt(self) -> Sequence[str]: ...


class Report(Protocol):
    """All of them, and the operations around them."""

    @property
    def project(self) -> str: ...
    @property
    def causes(self) -> Sequence[Cause]: ...
    @property
    def done(self) -> Sequence[Operation]: ...
    @property
    def not_done(self) -> Sequence[Operation]: ...


def failure_lines(report: Report, output: Output, *, advice: str | None = None) -> Iterator[str]:
    """The report as lines, coloured where `output` takes colours.

    advice: how to go on; None for the usual, "" for none.
    """
    for cause in report.causes:
        yield from cause_lines(cause, output)
    if done_ones := _worth_telling(report, report.done):
        yield f"done: {_listed(done_ones)}"
    if missed := _worth_telling(report, report.not_done):
        yield f"not done: {_listed(missed)}"
    how = _ADVICE if advice is None else advice
    if how:
        yield f"next: {how}"


def cause_lines(cause: Cause, output: Output) -> Iterator[str]:
    """One cause: its message, its place, a way out, the container's state and its last lines."""
    yield f"{output.paint('stackr:', 'red', 'bold')} {cause.subject}{cause.message}"
    if cause.attribute:
        place = f"{cause.source}: " if cause.source is not None else ""
        yield f"  {place}{cause.attribute}"
    if cause.hint:
        yield f"  {cause.hint}"
    name = cause.operation.resource.name
    for line in cause.excerpt:
        yield f"  {output.paint(line, 'red') if line.startswith('>') else line}"
    if cause.state and not _says(cause.message, cause.state):
        what = "task of" if cause.operation.resource.kind == "service" else "container"
        yield f"  {what} {name}: {cause.state}"
    if cause.log:
        yield f"  last output of {name}:"
        yield from (f"    {output.paint('|', 'dim')} {line}" for line in cause.log)


def _says(message: str, state: str) -> bool:
    """Whether `container web-1 exited (3)` has told `exited with code 3` already."""
    code = state.removeprefix("exited with code ")
    return code.isdecimal() and message.endswith(f" exited ({code})")


def failure_json(report: Report) -> dict[str, Any]:
    """The report as a JSON event."""
    return {
        "event": "failure",
        "project": report.project,
        "causes": [
            {
                "id": cause.operation.id,
                "action": cause.operation.action.value,
                "resource": cause.operation.to_json()["resource"],
                "error": cause.message,
                "hint": cause.hint,
                "attribute": cause.attribute,
                "source": cause.source.to_json() if cause.source is not None else None,
                "state": cause.state,
                "log": list(cause.log),
                "excerpt": list(cause.excerpt),
            }
            for cause in report.causes
        ],
        "done": [operation.id for operation in report.done],
        "not_done": [operation.id for operation in report.not_done],
    }


def _worth_telling(report: Report, operations: Sequence[Operation]) -> list[Operation]:
    """All of them, but for the removal of steps, which is nothing to people."""
    everything = (*report.done, *report.not_done)
    steps = {each.resource for each in everything if each.action is Action.RUN_STEP}
    return [each for each in operations if not (each.is_optional and each.resource in steps)]


def _listed(operations: Sequence[Operation]) -> str:
    """`network demo_default created, container demo-db-1 started, and 12 more`."""
    last = {resource_label(operation.resource): operation for operation in operations}
    words = [f"{label[0].lower()}{label[1:]} {done(o).lower()}" for label, o in last.items()]
    more = [f"and {len(words) - _LISTED} more"] if len(words) > _LISTED else []
    return ", ".join([*words[:_LISTED], *more])
