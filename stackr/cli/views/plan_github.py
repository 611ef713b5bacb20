"""A plan as GitHub's workflow commands: annotations on the changed lines of the stack file.

Source: GitHub Actions, "Workflow commands", `::notice`, `::warning` and `::error`.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackr.cli.views.plan import field_notes, field_text, summary_text
from stackr.planner.plan.model import FieldChange, Plan, RiskLevel, Source

__all__ = ["annotation", "plan_annotations"]

_VALUE_CHARACTERS = 200


def plan_annotations(plan: Plan) -> Iterator[str]:
    """One command a line: a notice for each changed field, a warning or an error for each risk."""
    for change in plan.changes:
        title = f"{change.kind.value} {change.resource.kind} {change.resource.name}"
        for field in change.fields:
            yield annotation("notice", _field_text(field), title, field.source or change.source)
        if not change.fields:
            yield annotation("notice", change.cause, title, change.source)
    for risk in plan.risks:
        level = "error" if risk.level is RiskLevel.ERROR else "warning"
        yield annotation(level, risk.message, risk.id, risk.source)
    yield summary_text(plan)


def annotation(level: str, message: str, title: str, source: Source | None) -> str:
    """One workflow command; without a source it belongs to the whole run."""
    properties = [f"title={_property(f'stackr: {title}')}"]
    if source is not None:
        place = (f"file={_property(source.file)}", f"line={source.line}", f"col={source.column}")
        properties = [*place, *properties]
    return f"::{level} {','.join(properties)}::{_data(message)}"


def _field_text(field: FieldChange) -> str:
    notes = field_notes(field)
    via = f", {field.source.via}" if field.source is not None and field.source.via else ""
    return f"{field_text(field, _VALUE_CHARACTERS)}{via}" + (f" ({notes})" if notes else "")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
