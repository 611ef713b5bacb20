"""A plan as Markdown for a comment on a pull request: a table, and the fields folded away.

GitHub takes comments of 65,536 characters; what does not fit is counted instead of shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackr.cli.views.plan import (
    MARKS,
    field_notes,
    field_text,
    is_content,
    is_multiline,
    summary_text,
    text_diff,
    value_text,
)
from stackr.planner.plan.model import Change, FieldChange, Origin, Plan, Risk, RiskLevel

__all__ = ["MAX_CHARACTERS", "plan_markdown"]

MAX_CHARACTERS = 60_000
_RESERVE = 200
_FIELD_CHARACTERS = 2_000
MARKER = "<!-- stackr diff -->"
"""By which a bot finds its earlier comment, to replace it."""


def plan_markdown(plan: Plan, *, limit: int = MAX_CHARACTERS) -> str:
    """The whole comment, of at most `limit` characters."""
    head = "\n".join(_head(plan))
    blocks = [*map(_risks, [plan.risks] if plan.risks else []), *map(_block, plan.changes)]
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


def _risks(risks: tuple[Risk, ...]) -> str:
    is_error = any(risk.level is RiskLevel.ERROR for risk in risks)
    lines = ["> [!CAUTION]" if is_error else "> [!WARNING]"]
    for risk in risks:
        place = f" (`{_code(str(risk.source))}`)" if risk.source is not None else ""
        level = "**error** " if risk.level is RiskLevel.ERROR else ""
        lines.append(f"> - {level}`{risk.id}`: {_text(risk.message)}{place}")
    return "\n".join([*lines, ""])


def _block(change: Change) -> str:
    mark, _ = MARKS[change.kind]
    drift = " [drift]" if change.origin is Origin.DRIFT else ""
    because = f", because of {', '.join(change.touched_by)}" if change.touched_by else ""
    title = (
        f"<code>{mark} {_html(change.resource.kind)} {_html(change.resource.name)}</code> "
        f"{change.kind.value}{drift}: {_html(change.cause + because)}"
    )
    if not change.fields:
        return f"- {title}\n"
    body = "\n".join(line for field in change.fields for line in _field(field))
    fence = _fence(body)
    return f"<details><summary>{title}</summary>\n\n{fence}diff\n{body}\n{fence}\n</details>\n"


def _field(field: FieldChange) -> Iterator[str]:
    notes = field_notes(field)
    place = f"  # {field.source}" if field.source is not None else ""
    suffix = f"  ({notes}){place}" if notes else place
    if is_multiline(field.old) or is_multiline(field.new):
        yield f"  {field.path}:{suffix}"
        yield from (line[:_FIELD_CHARACTERS] for line in text_diff(field))
        return
    if is_content(field):
        yield f"! {field_text(field)}{suffix}"
        return
    if field.old is not None:
        yield f"- {field.path}: {value_text(field.old)[:_FIELD_CHARACTERS]}"
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
