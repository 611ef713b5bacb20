"""A plan for people: a summary, then each change with its fields, in dependency order.

The same change of many is told once. On a terminal, what is too long for a line is wrapped, old and
new value on lines of their own; a file or pipe gets whole lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stackr.cli.views.output import Output
from stackr.cli.views.plan_groups import ChangeGroup, groups
from stackr.cli.views.plan_words import (
    MARKS,
    field_notes,
    field_text,
    is_content,
    is_multiline,
    rollout_text,
    summary_text,
    text_diff,
    value_text,
)
from stackr.cli.views.wrap import changed_values, wrapped
from stackr.planner.plan.model import FieldChange, Kind, Origin, Plan, Risk, RiskLevel, Source
from stackr.planner.plan.outlook import affected_text, order_text

__all__ = ["plan_lines", "summary_text"]

_INDENT = "    "
_BELOW = "      "
_PLACES = 3
_STAGES = 2


def plan_lines(plan: Plan, output: Output, *, detail: bool = False) -> Iterator[str]:
    """The plan's lines, coloured where `output` takes colours; nothing of it is cut.

    detail: the operations in their order as well. The summary comes once more at the end where the
    rest is longer than a screen.
    """
    summary = list(_wrap(summary_text(plan), output, styles=("bold",)))
    lines = [*summary, *_body(plan, output, detail=detail)]
    yield from lines
    if len(lines) > output.height:
        yield ""
        yield from summary


def _body(plan: Plan, output: Output, *, detail: bool) -> Iterator[str]:
    for group in groups(plan.changes):
        yield ""
        yield from _group_lines(group, output)
    if len(plan.order) >= _STAGES:
        yield ""
        yield from _wrap(f"order: {order_text(plan.order)}", output)
    if plan.risks:
        yield ""
        for risk in plan.risks:
            yield from _risk_lines(risk, output)
    if detail and plan.operations:
        yield ""
        yield output.paint("operations, each after those in brackets:", "bold")
        for operation in plan.operations:
            yield from _wrap(str(operation), output, first="  ")


def _risk_lines(risk: Risk, output: Output) -> Iterator[str]:
    colour = "red" if risk.level is RiskLevel.ERROR else "yellow"
    head = f"! {risk.id}"
    text = f"{risk.message}{_GAP}{risk.source}" if risk.source is not None else risk.message
    yield from _headed(head, text, output, colour)


def _headed(head: str, text: str, output: Output, *styles: str) -> Iterator[str]:
    """A painted head, and after it a text that goes on below."""
    first, *rest = _wrap(text, output, first=f"{head}{_GAP}")
    yield output.paint(head, *styles) + first[len(head) :]
    yield from rest


_GAP = "  "


def _wrap(
    text: str, output: Output, *, first: str = "", styles: Sequence[str] = ()
) -> Iterator[str]:
    if not output.is_terminal or len(first) + len(text) <= output.width:
        yield output.paint(first + text, *styles)
        return
    rest = " " * (len(first) - len(first.lstrip())) + _INDENT
    for line in wrapped(text, output.width, first=first, rest=rest):
        yield output.paint(line, *styles)


def _group_lines(group: ChangeGroup, output: Output) -> Iterator[str]:
    change = group.first
    mark, colour = MARKS[change.kind]
    drift = " [drift]" if change.origin is Origin.DRIFT else ""
    text = f"{change.kind.value}{drift}: {change.cause}"
    yield from _headed(f"{mark} {group.title}", text, output, colour, "bold")
    if len(group.changes) > 1:
        yield from _wrap(", ".join(group.names), output, first=_INDENT, styles=("dim",))
    if change.rollout is not None:
        yield from _wrap(rollout_text(change.rollout, change.kind), output, first=_INDENT)
    if change.touched_by:
        yield from _wrap(f"because of {', '.join(change.touched_by)}", output, first=_INDENT)
    if change.affects:
        yield from _wrap(affected_text(change.affects), output, first=_INDENT)
    for at, field in enumerate(change.fields):
        yield from _field_lines(field, group, group.sources(at), output)


def _field_lines(
    field: FieldChange, group: ChangeGroup, sources: Sequence[Source], output: Output
) -> Iterator[str]:
    notes = field_notes(field, group.first)
    suffix = f"  ({notes})" if notes else ""
    source = _places(sources)
    is_new = group.first.kind in (Kind.CREATE, Kind.RUN)
    if is_multiline(field.old) or is_multiline(field.new):
        yield from _with_source(f"{field.path}:{suffix}", source, output)
        for line in text_diff(field):
            colour = {"+": "green", "-": "red"}.get(line[:1], "dim")
            yield from _wrap(line, output, first=_BELOW, styles=(colour,))
        return
    text = f"{field_text(field, is_new=is_new)}{suffix}"
    if not output.is_terminal or len(_INDENT) + len(text) <= output.width or is_content(field):
        yield from _with_source(text, source, output)
        return
    yield from _with_source(f"{field.path}:{suffix}", source, output)
    yield from _values(field, output, is_new=is_new)


def _values(field: FieldChange, output: Output, *, is_new: bool) -> Iterator[str]:
    old = None if is_new and field.old is None else value_text(field.old)
    yield from changed_values(old, value_text(field.new), output, _BELOW)


def _places(sources: Sequence[Source]) -> str:
    """`compose.yaml:7, the default of $LEVEL`; of several places the first few."""
    if len(sources) < 2:
        return "".join(map(str, sources))
    shown = ", ".join(f"{source.file}:{source.line}" for source in sources[:_PLACES])
    more = len(sources) - _PLACES
    return f"{shown} and {more} more" if more > 0 else shown


def _with_source(text: str, source: str, output: Output) -> Iterator[str]:
    """The line, and where its new value is written: behind it if there is room, else below."""
    width = len(_INDENT) + len(text) + len(_GAP) + len(source)
    if source and (not output.is_terminal or width <= output.width):
        yield _INDENT + text + output.paint(f"{_GAP}{source}", "dim")
        return
    yield from _wrap(text, output, first=_INDENT)
    if source:
        yield from _wrap(source, output, first=_BELOW, styles=("dim",))
