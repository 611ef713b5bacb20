"""A plan as Markdown for a comment on a pull request: what befalls that which runs is unfolded.

GitHub takes comments of 65,536 characters; what does not fit is counted instead of shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackr.cli.views.places import Places
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
from stackr.planner.plan.model import (
    Change,
    FieldChange,
    Kind,
    Origin,
    Plan,
    Risk,
    RiskLevel,
    Source,
)
from stackr.planner.plan.outlook import affected_text, order_text

__all__ = ["MAX_CHARACTERS", "plan_markdown"]

MAX_CHARACTERS = 60_000
_RESERVE = 200
_FIELD_CHARACTERS = 2_000
MARKER = "<!-- stackr diff -->"
"""By which a bot finds its earlier comment, to replace it."""


_NOWHERE = Places()
_OPEN = (Kind.RECREATE, Kind.RESTART, Kind.REMOVE, Kind.UPDATE, Kind.STOP)
"""What befalls that which runs: shown unfolded, unless it is long."""
_OPEN_LINES = 30
_STAGES = 2


def plan_markdown(plan: Plan, places: Places = _NOWHERE, *, limit: int = MAX_CHARACTERS) -> str:
    """The whole comment, of at most `limit` characters. places: what its lines link to."""
    head = "\n".join(_head(plan))
    blocks = [_risks(plan.risks, places)] if plan.risks else []
    blocks += [_block(group, places) for group in groups(plan.changes)]
    if len(plan.order) >= _STAGES:
        blocks.append(f"Order: {_text(order_text(plan.order))}\n")
    shown: list[str] = []
    room = limit - len(head) - _RESERVE
    for block in blocks:
        if len(block) + 1 > room:
            break
        shown.append(block)
        room -= len(block) + 1
    left = len(blocks) - len(shown)
    if left:
        shown.append(f"_{left} more changes do not fit here; `stackr diff` shows them._")
    return "\n".join([head, *shown]) + "\n"


def _head(plan: Plan) -> Iterator[str]:
    yield MARKER
    yield f"### stackr diff — {_text(summary_text(plan))}"
    yield ""
    for warning in plan.warnings:
        yield f"> {_text(warning)}"
        yield ""


def _risks(risks: tuple[Risk, ...], places: Places) -> str:
    is_error = any(risk.level is RiskLevel.ERROR for risk in risks)
    lines = ["> [!CAUTION]" if is_error else "> [!WARNING]"]
    for risk in risks:
        place = f" ({_place(risk.source, places)})" if risk.source is not None else ""
        level = "**error** " if risk.level is RiskLevel.ERROR else ""
        lines.append(f"> - {level}`{risk.id}`: {_text(risk.message)}{place}")
    return "\n".join([*lines, ""])


def _place(source: Source, places: Places) -> str:
    """`compose.yaml:7, the default of $LEVEL`, a link where the repository's host is known."""
    link = places.link(source)
    place = f"`{_code(f'{places.file(source)}:{source.line}')}`"
    via = f", {_text(source.via)}" if source.via else ""
    return f"[{place}]({link}){via}" if link else f"{place}{via}"


def _block(group: ChangeGroup, places: Places) -> str:
    change = group.first
    mark, _ = MARKS[change.kind]
    drift = " [drift]" if change.origin is Origin.DRIFT else ""
    title = (
        f"<code>{mark} {_html(group.title)}</code> "
        f"{change.kind.value}{drift}: {_html(change.cause)}"
    )
    if not change.fields:
        return f"- {title}" + "".join(f"; {_text(note)}" for note in _notes(group)) + "\n"
    notes = "".join(f"{_text(note)}\n\n" for note in _notes(group))
    lines = [line for field in change.fields for line in _field(field, change)]
    body = "\n".join(lines)
    fence = _fence(body)
    is_open = change.kind in _OPEN and len(lines) <= _OPEN_LINES
    return (
        f"<details{' open' * is_open}><summary>{title}</summary>\n\n{notes}"
        f"{fence}diff\n{body}\n{fence}\n{_written(group, places)}</details>\n"
    )


def _notes(group: ChangeGroup) -> Iterator[str]:
    change = group.first
    if len(group.changes) > 1:
        yield ", ".join(group.names)
    if change.rollout is not None:
        yield rollout_text(change.rollout, change.kind)
    if change.touched_by:
        yield f"because of {', '.join(change.touched_by)}"
    if change.affects:
        yield affected_text(change.affects)


def _written(group: ChangeGroup, places: Places) -> str:
    """Where the new values are, each place once."""
    found = (each for at in range(len(group.first.fields)) for each in group.sources(at))
    shown = ", ".join(dict.fromkeys(_place(source, places) for source in found))
    return f"\n{shown}\n\n" if shown else ""


def _field(field: FieldChange, change: Change) -> Iterator[str]:
    notes = field_notes(field, change)
    suffix = f"  ({notes})" if notes else ""
    if is_multiline(field.old) or is_multiline(field.new):
        yield f"  {field.path}:{suffix}"
        yield from (line[:_FIELD_CHARACTERS] for line in text_diff(field))
        return
    if is_content(field):
        yield f"! {field_text(field)}{suffix}"
        return
    if field.old is not None:
        end = "" if field.new is not None else suffix
        yield f"- {field.path}: {value_text(field.old)[:_FIELD_CHARACTERS]}{end}"
    if field.new is not None:
        yield f"+ {field.path}: {value_text(field.new)[:_FIELD_CHARACTERS]}{suffix}"


def _fence(body: str) -> str:
    """A fence longer than any run of backticks in the text."""
    longest = max(map(len, re.findall("`+", body)), default=0)
    return "`" * max(3, longest + 1)


def _text(text: str) -> str:
    """Words that Markdown takes for nothing else."""
    escaped = "".join(
        f"\\{char}" if char in "\\`*_[]#|~" else char for char in " ".join(text.split())
    )
    return _html(escaped)


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    return text.replace("`", "'")
