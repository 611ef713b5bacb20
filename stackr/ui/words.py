"""The dashboard's words for plans, for what happens, and for what went wrong, as styled text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.text import Text

from stackr.cli.views.failure import failure_lines
from stackr.cli.views.output import Output
from stackr.cli.views.plan import plan_lines, summary_text
from stackr.cli.views.view import doing, done, resource_label
from stackr.errors import StackrError
from stackr.stack.events import (
    Message,
    OperationFailed,
    OperationFinished,
    OperationStarted,
    Planned,
    StackEvent,
    Warned,
)
from stackr.stack.log_lines import LogLine
from stackr.stack.result import ChangeFailed
from stackr.text import visible
from stackr.ui.feed import one_line
from stackr.ui.log_buffer import LogFilter
from stackr.ui.plan_watch import Outlook

__all__ = ["event_text", "failure_text", "line_text", "outlook_summary", "outlook_text"]

_NAME_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")
_LEAST_WIDTH = 20


@dataclass(frozen=True, slots=True)
class _Pane(Output):
    """A part of the screen: so wide, and with no end below."""

    columns: int = 80

    @property
    def width(self) -> int:
        return max(self.columns, _LEAST_WIDTH)

    @property
    def height(self) -> int:
        return 1 << 30


def _styled(lines: Callable[[Output], Iterable[str]], width: int) -> Text:
    """What a view of the command line says, as a text of this width."""
    pane = _Pane(io.StringIO(), is_terminal=True, colour=True, columns=width)
    return Text.from_ansi("\n".join(visible(line, colours="own") for line in lines(pane)))


def outlook_summary(outlook: Outlook | None) -> str:
    """One line of it: `1 to recreate, 2 unchanged`."""
    if outlook is None:
        return "making the plan"
    if outlook.plan is None:
        return outlook.problems[0] if outlook.problems else ""
    return summary_text(outlook.plan).removeprefix(f"{outlook.plan.project}: ")


def outlook_text(outlook: Outlook | None, width: int) -> Text:
    """All of it, in lines that fit."""
    if outlook is None:
        return Text("making the plan ...")
    if outlook.plan is None:
        return Text("\n".join(visible(each) for each in outlook.problems), style="red")
    plan = outlook.plan
    return _styled(lambda pane: plan_lines(plan, pane), width)


def failure_text(error: StackrError, width: int) -> Text:
    """What went wrong, with the last words of the containers that failed."""
    report = error.report if isinstance(error, ChangeFailed) else None
    if report is None:
        return Text(visible(one_line(error)), style="red")
    return _styled(lambda pane: failure_lines(report, pane, advice=""), width)


def event_text(event: StackEvent) -> str:
    """A line for what happens while something is changed; "" for what needs none."""
    match event:
        case Message(text) | Warned(text):
            return text
        case Planned(plan):
            return summary_text(plan)
        case OperationStarted(operation=operation):
            return f"{resource_label(operation.resource)}: {doing(operation)}"
        case OperationFinished(operation=operation):
            return f"{resource_label(operation.resource)}: {done(operation)}"
        case OperationFailed(operation=operation):
            return f"{resource_label(operation.resource)}: failed"
        case _:
            return ""


def line_text(line: LogLine, wanted: LogFilter) -> Text:
    """A line of a log: whose it is, what it says, with what is searched for marked."""
    said = Text.from_ansi(visible(line.text, one_line=True, colours="any").expandtabs())
    for start, end in wanted.spans(said.plain):
        said.stylize("reverse", start, end)
    if wanted.container:
        return said
    colour = _NAME_COLOURS[sum(line.container.encode()) % len(_NAME_COLOURS)]
    return Text.assemble((f"{visible(line.container, one_line=True)} ", colour), said)
