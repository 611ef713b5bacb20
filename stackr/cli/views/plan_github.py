"""A plan as GitHub's workflow commands: annotations on the changed lines of the stack file.

Source: GitHub Actions, "Workflow commands", `::notice`, `::warning` and `::error`.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackr.cli.views.places import Places
from stackr.cli.views.plan_groups import ChangeGroup, groups
from stackr.cli.views.plan_words import field_notes, field_text, rollout_text, summary_text
from stackr.planner.plan.model import Change, FieldChange, Kind, Plan, RiskLevel, Source
from stackr.planner.plan.outlook import affected_text

__all__ = ["annotation", "plan_annotations"]

_VALUE_CHARACTERS = 200
_NOWHERE = Places()


def plan_annotations(plan: Plan, places: Places = _NOWHERE) -> Iterator[str]:
    """One command a line: a notice for each changed field, a warning or an error for each risk.

    A field that changes alike in several containers is told once at each place.
    """
    for group in groups(plan.changes):
        yield from _of_group(group, places)
    for risk in plan.risks:
        level = "error" if risk.level is RiskLevel.ERROR else "warning"
        yield annotation(level, risk.message, risk.id, risk.source, places)
    yield summary_text(plan)


def _of_group(group: ChangeGroup, places: Places) -> Iterator[str]:
    change = group.first
    title = f"{change.kind.value} {group.title}"
    for at, field in enumerate(change.fields):
        for source in group.sources(at) or group.places or (None,):
            yield annotation("notice", _field_text(field, change, source), title, source, places)
    if not change.fields:
        for source in group.places or (None,):
            yield annotation("notice", _cause_text(change), title, source, places)


def annotation(
    level: str, message: str, title: str, source: Source | None, places: Places = _NOWHERE
) -> str:
    """One workflow command; without a source it belongs to the whole run."""
    properties = [f"title={_property(f'stackr: {title}')}"]
    if source is not None:
        file = _property(places.file(source))
        properties = [f"file={file}", f"line={source.line}", f"col={source.column}", *properties]
    return f"::{level} {','.join(properties)}::{_data(message)}"


def _field_text(field: FieldChange, change: Change, source: Source | None) -> str:
    notes = field_notes(field, change)
    via = f", {source.via}" if source is not None and source.via else ""
    text = field_text(field, _VALUE_CHARACTERS, is_new=change.kind in (Kind.CREATE, Kind.RUN))
    return f"{text}{via}" + (f" ({notes})" if notes else "")


def _cause_text(change: Change) -> str:
    more = [rollout_text(change.rollout, change.kind)] if change.rollout is not None else []
    more += [affected_text(change.affects)] if change.affects else []
    return "; ".join([change.cause, *more])


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
