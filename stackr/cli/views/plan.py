"""A plan for people: a summary, then each resource with its changed fields, in dependency order.

Lines are cut to a terminal's width; a file or pipe gets them whole.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from stackr.cli.views.output import Output
from stackr.planner.plan import Change, FieldChange, Kind, Origin, Plan

__all__ = ["plan_lines", "summary_text"]

_MARKS: dict[Kind, tuple[str, str]] = {
    Kind.CREATE: ("+", "green"),
    Kind.UPDATE: ("~", "yellow"),
    Kind.RECREATE: ("±", "yellow"),
    Kind.RESTART: ("↻", "yellow"),
    Kind.START: (">", "green"),
    Kind.STOP: (".", "yellow"),
    Kind.REMOVE: ("-", "red"),
    Kind.PULL: ("↓", "cyan"),
}
_NOTHING = "(none)"


def plan_lines(plan: Plan, output: Output) -> Iterator[str]:
    """The plan's lines, coloured where `output` takes colours."""
    yield output.paint(summary_text(plan), "bold")
    for change in plan.changes:
        yield ""
        yield from _change_lines(change, output)


def summary_text(plan: Plan) -> str:
    """`demo: 1 to create, 2 to recreate, 3 unchanged`, or `demo: no changes, 6 unchanged`."""
    parts = [f"{count} to {kind}" for kind, count in plan.summary.items()]
    if not parts:
        parts = ["no changes" if plan.is_empty else f"{len(plan.operations)} operations"]
    if plan.unchanged:
        parts.append(f"{plan.unchanged} unchanged")
    return f"{plan.project}: {', '.join(parts)}"


def _change_lines(change: Change, output: Output) -> Iterator[str]:
    mark, colour = _MARKS[change.kind]
    drift = " [drift]" if change.origin is Origin.DRIFT else ""
    head = f"{mark} {change.resource.kind} {change.resource.name}"
    rest = f"  {change.kind.value}{drift}: {change.cause}"
    yield output.paint(head, colour, "bold") + _fit(rest, output, len(head))
    if change.touched_by:
        yield _fit(f"    because of {', '.join(change.touched_by)}", output)
    for field in change.fields:
        yield from _field_lines(field, output)


def _field_lines(field: FieldChange, output: Output) -> Iterator[str]:
    notes = [note for note in (_effect(field), field.note) if note]
    suffix = f"  ({'; '.join(notes)})" if notes else ""
    if _is_multiline(field.old) or _is_multiline(field.new):
        yield _fit(f"    {field.path}:{suffix}", output)
        yield from _text_diff(field, output)
        return
    value = f"{_value(field.old)} → {_value(field.new)}"
    yield _fit(f"    {field.path}: {value}{suffix}", output)


def _effect(field: FieldChange) -> str:
    drift = "drift" if field.origin is Origin.DRIFT else ""
    in_place = "" if field.forces_recreate else "in place"
    return ", ".join(word for word in (drift, in_place) if word)


def _value(value: Any) -> str:
    return _NOTHING if value is None else json.dumps(value, ensure_ascii=False)


def _is_multiline(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value.strip("\n")


def _text_diff(field: FieldChange, output: Output) -> Iterator[str]:
    old, new = (
        value.splitlines() if isinstance(value, str) else [_value(value)]
        for value in (field.old, field.new)
    )
    for line in list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]:
        colour = {"+": "green", "-": "red"}.get(line[:1], "dim")
        yield output.paint(_fit(f"      {line}", output), colour)


def _fit(text: str, output: Output, taken: int = 0) -> str:
    """Cut `text` to what is left of the terminal's line, of which `taken` columns are used."""
    room = output.width - taken
    if not output.is_terminal or len(text) <= room:
        return text
    return text[: max(room - 1, 0)] + "…"
