"""The words for a plan's changes and values, which all forms of a plan use."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from stackr.planner.plan.model import Change, FieldChange, Kind, Origin, Plan
from stackr.planner.plan.outlook import Rollout

__all__ = [
    "MARKS",
    "NOTHING",
    "counted",
    "field_notes",
    "field_text",
    "is_content",
    "is_multiline",
    "rollout_text",
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
    Kind.RUN: ("▸", "cyan"),
    Kind.ORPHAN: ("?", "dim"),
}
NOTHING = "(none)"


def summary_text(plan: Plan) -> str:
    """`demo: 1 to create, 2 to recreate, 3 unchanged; 1 risk`, or `demo: no changes, 6 unchanged`.

    An orphan that stays is counted, and is no change.
    """
    orphans = plan.summary.get(Kind.ORPHAN.value, 0)
    parts = [counted(plan.summary)] if plan.summary else []
    if orphans == sum(plan.summary.values()):
        parts.insert(0, "no changes" if plan.is_empty else f"{len(plan.operations)} operations")
    if plan.unchanged:
        parts.append(f"{plan.unchanged} unchanged")
    risks = f"; {_count(len(plan.risks), 'risk')}" if plan.risks else ""
    return f"{plan.project}: {', '.join(parts)}{risks}"


def counted(summary: Mapping[str, int]) -> str:
    """`1 to create, 2 to recreate, 1 orphan`."""
    parts = [f"{n} to {kind}" for kind, n in summary.items() if kind != Kind.ORPHAN.value]
    orphans = summary.get(Kind.ORPHAN.value, 0)
    return ", ".join([*parts, *([_count(orphans, "orphan")] if orphans else [])])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def rollout_text(rollout: Rollout, kind: Kind) -> str:
    """`×3, rolling, start-first, 1 at a time: the service stays up`; of a restart, the end."""
    away = _AWAY[rollout.away]
    return f"{rollout}: {away}" if kind is Kind.RECREATE else away


_AWAY = {
    "no": "the service stays up",
    "partly": "some replicas are away meanwhile",
    "yes": "the service is away meanwhile",
}


def field_text(field: FieldChange, longest: int | None = None, *, is_new: bool = False) -> str:
    """`path: old → new`; of a file, that its content changed; of what is new, `path: value`.

    longest: of a value that is shown.
    """
    old, new = (_short(value, longest) for value in (field.old, field.new))
    if is_new and field.old is None:
        return f"{field.path}: {new}"
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
    return str(value)[:_DIGEST_DIGITS] if value else NOTHING


def _short(value: Any, longest: int | None) -> str:
    """`value_text`, cut to a length."""
    text = value_text(value)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def field_notes(field: FieldChange, change: Change) -> str:
    """`drift, forces recreate; why`, or "" where there is nothing to add."""
    words = ["drift"] if field.origin is Origin.DRIFT else []
    if field.forces_recreate and change.kind is Kind.RECREATE:
        words.append("forces recreate")
    elif change.kind is Kind.UPDATE:
        words.append("in place")
    return "; ".join(note for note in (", ".join(words), field.note) if note)


def value_text(value: Any) -> str:
    """A value as JSON, or `(none)`."""
    return NOTHING if value is None else json.dumps(value, ensure_ascii=False)


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
