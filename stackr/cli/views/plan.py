"""A plan for people: a summary, then each resource with its changed fields, in dependency order.

Lines are cut to a terminal's width; a file or pipe gets them whole. The words for changes and
values are used by the other forms of a plan, too.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from stackr.cli.views.output import Output
from stackr.planner.plan.model import Change, FieldChange, Kind, Origin, Plan, Risk, RiskLevel

__all__ = [
    "MARKS",
    "field_notes",
    "field_text",
    "is_content",
    "is_multiline",
    "plan_lines",
    "summary_text",
    "text_diff",
    "value_text",
]

MARKS: dict[Kind, tuple[str, str]] = {
    Kind.CREATE: ("+", "green"),
    Kind.UPDATE: ("~", "yellow"),
    Kind.RECREATE: ("±", "yellow"),
    Kind.RESTART: ("↻", "yellow"),
    Kind.START: (">", "green"),
    Kind.STOP: (".", "yellow"),
    Kind.REMOVE: ("-", "red"),
    Kind.PULL: ("↓", "cyan"),
    Kind.BUILD: ("⚒", "cyan"),
    Kind.PUSH: ("↑", "cyan"),
}
_NOTHING = "(none)"


def plan_lines(plan: Plan, output: Output, *, detail: bool = False) -> Iterator[str]:
    """The plan's lines, coloured where `output` takes colours.

    detail: the operations in their order as well.
    """
    yield output.paint(summary_text(plan), "bold")
    for change in plan.changes:
        yield ""
        yield from _change_lines(change, output)
    if plan.risks:
        yield ""
        yield from (_risk_line(risk, output) for risk in plan.risks)
    if detail and plan.operations:
        yield ""
        yield output.paint("operations, each after those in brackets:", "bold")
        yield from (_fit(f"  {operation}", output) for operation in plan.operations)


def _risk_line(risk: Risk, output: Output) -> str:
    colour = "red" if risk.level is RiskLevel.ERROR else "yellow"
    place = f"  {risk.source}" if risk.source is not None else ""
    head = f"! {risk.id}"
    return output.paint(head, colour) + _fit(f"  {risk.message}{place}", output, len(head))


def summary_text(plan: Plan) -> str:
    """`demo: 1 to create, 2 to recreate, 3 unchanged`, or `demo: no changes, 6 unchanged`."""
    parts = [f"{count} to {kind}" for kind, count in plan.summary.items()]
    if not parts:
        parts = ["no changes" if plan.is_empty else f"{len(plan.operations)} operations"]
    if plan.unchanged:
        parts.append(f"{plan.unchanged} unchanged")
    return f"{plan.project}: {', '.join(parts)}"


def _change_lines(change: Change, output: Output) -> Iterator[str]:
    mark, colour = MARKS[change.kind]
    drift = " [drift]" if change.origin is Origin.DRIFT else ""
    head = f"{mark} {change.resource.kind} {change.resource.name}"
    rest = f"  {change.kind.value}{drift}: {change.cause}"
    yield output.paint(head, colour, "bold") + _fit(rest, output, len(head))
    if change.touched_by:
        yield _fit(f"    because of {', '.join(change.touched_by)}", output)
    for field in change.fields:
        yield from _field_lines(field, output)


def _field_lines(field: FieldChange, output: Output) -> Iterator[str]:
    notes = field_notes(field)
    suffix = f"  ({notes})" if notes else ""
    if is_multiline(field.old) or is_multiline(field.new):
        yield from _with_source(f"    {field.path}:{suffix}", field, output)
        for line in text_diff(field):
            colour = {"+": "green", "-": "red"}.get(line[:1], "dim")
            yield output.paint(_fit(f"      {line}", output), colour)
    else:
        yield from _with_source(f"    {field_text(field)}{suffix}", field, output)


def _with_source(text: str, field: FieldChange, output: Output) -> Iterator[str]:
    """The line, and where its new value is written: behind it if there is room, else below."""
    source = f"  {field.source}" if field.source is not None else ""
    if source and (not output.is_terminal or len(text) + len(source) <= output.width):
        yield text + output.paint(source, "dim")
        return
    yield _fit(text, output)
    if source:
        yield output.paint(_fit(f"    {source}", output), "dim")


def field_text(field: FieldChange, longest: int | None = None) -> str:
    """`path: old → new`; of a file, that its content changed.

    longest: of a value that is shown.
    """
    old, new = (_short(value, longest) for value in (field.old, field.new))
    if not is_content(field):
        return f"{field.path}: {old} → {new}"
    path = field.path.removesuffix(_CONTENT)
    hashes = "" if field.is_secret else f" (sha256 {_digest(field.old)} → {_digest(field.new)})"
    return f"{path}: content changed{hashes}"


_CONTENT = ".sha256"
_DIGEST_DIGITS = 12


def is_content(field: FieldChange) -> bool:
    """Whether it is what a file holds that changed."""
    return field.path.endswith(_CONTENT) and "[" in field.path


def _digest(value: Any) -> str:
    return str(value)[:_DIGEST_DIGITS] if value else _NOTHING


def _short(value: Any, longest: int | None) -> str:
    """`value_text`, cut to a length."""
    text = value_text(value)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def field_notes(field: FieldChange) -> str:
    """`drift, in place; why`, or "" where there is nothing to add."""
    drift = "drift" if field.origin is Origin.DRIFT else ""
    in_place = "" if field.forces_recreate else "in place"
    effect = ", ".join(word for word in (drift, in_place) if word)
    return "; ".join(note for note in (effect, field.note) if note)


def value_text(value: Any) -> str:
    """A value as JSON, or `(none)`."""
    return _NOTHING if value is None else json.dumps(value, ensure_ascii=False)


def is_multiline(value: Any) -> bool:
    """Whether a value is better shown as a text diff."""
    return isinstance(value, str) and "\n" in value.strip("\n")


def text_diff(field: FieldChange) -> Iterator[str]:
    """The lines of a unified diff of the field's old and new text."""
    old, new = (
        value.splitlines() if isinstance(value, str) else [value_text(value)]
        for value in (field.old, field.new)
    )
    yield from list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]


def _fit(text: str, output: Output, taken: int = 0) -> str:
    """Cut `text` to what is left of the terminal's line, of which `taken` columns are used."""
    room = output.width - taken
    if not output.is_terminal or len(text) <= room:
        return text
    return text[: max(room - 1, 0)] + "…"
