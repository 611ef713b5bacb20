"""A profile as a Gantt chart for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stackr.cli.views.output import Output
from stackr.cli.views.view import resource_label
from stackr.executor.profile import Phase, Profile, Span
from stackr.planner.plan.model import Action

__all__ = ["gantt_json", "gantt_lines"]

_COLOURS = {
    Phase.PULL: "magenta",
    Phase.REMOVE: "red",
    Phase.CREATE: "blue",
    Phase.START: "green",
    Phase.READY: "yellow",
}
_MOST_LABEL = 32
_LEAST_CHART = 20
_BRIEF_S = 0.001


def gantt_lines(profile: Profile, output: Output) -> Iterator[str]:
    """A row for each resource, the phases' times, and the longest chain; as wide as `output`."""
    spans = profile.spans()
    if not spans:
        yield f"profile: nothing was done; {_seconds(profile.elapsed_s)} to find that"
        return
    rows: dict[str, list[Span]] = {}
    for span in spans:
        rows.setdefault(resource_label(span.operation.resource), []).append(span)
    width = min(max(map(len, rows)), _MOST_LABEL)
    scale = _Scale(profile, max(output.width - width - 3, _LEAST_CHART))
    yield f"profile: {_seconds(profile.elapsed_s)} from left to right"
    for label, row in rows.items():
        yield f"{_shortened(label, width):<{width}} |{scale.bar(row, output)}"
    yield _legend(profile, output)
    yield from _chain_lines(profile)


class _Scale:
    """Columns of the chart for times of the profile."""

    def __init__(self, profile: Profile, columns: int) -> None:
        self._columns = columns
        self._per_s = columns / max(profile.elapsed_s, 1e-9)

    def bar(self, spans: Sequence[Span], output: Output) -> str:
        """Each column in the letter of what went on there; the last one that began counts."""
        cells: list[Phase | None] = [None] * self._columns
        for span in spans:
            first = min(int(span.start_s * self._per_s), self._columns - 1)
            last = max(first + 1, min(round(span.end_s * self._per_s), self._columns))
            cells[first:last] = [span.phase] * (last - first)
        while cells and cells[-1] is None:
            cells.pop()
        return "".join(" " if cell is None else _letter(cell, output) for cell in cells)


def _letter(phase: Phase, output: Output) -> str:
    return output.paint(phase.value[0], _COLOURS[phase])


def _legend(profile: Profile, output: Output) -> str:
    shares = [
        f"{_letter(phase, output)} {phase.value} {_seconds(took_s)}"
        for phase, took_s in profile.phases().items()
        if took_s
    ]
    return "   ".join([*shares, f"before: {_seconds(profile.prepared_s)}"])


def _chain_lines(profile: Profile) -> Iterator[str]:
    chain = profile.longest_chain()
    took_s = sum(span.took_s for span in chain)
    yield f"longest chain: {_seconds(took_s)} in {len(chain)} steps"
    for span in chain:
        if span.took_s < _BRIEF_S and span.waited_s < _BRIEF_S:
            continue
        waited = f" after {_seconds(span.waited_s)} of waiting" if span.waited_s > _BRIEF_S else ""
        yield f"  {_seconds(span.took_s):>8}  {_step(span)}{waited}"


def _step(span: Span) -> str:
    resource = span.operation.resource
    verb = span.operation.action.value
    if span.operation.action is Action.WAIT_FOR:
        return f"{verb} {resource.name}: {span.operation.cause}".rstrip(": ")
    return f"{verb} {resource.name}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _shortened(label: str, width: int) -> str:
    """The end of a long name tells more than its beginning."""
    return label if len(label) <= width else f"…{label[len(label) - width + 1 :]}"


def gantt_json(profile: Profile) -> dict[str, Any]:
    """The profile as a JSON event; times in seconds."""
    return {
        "event": "profile",
        "elapsed_s": round(profile.elapsed_s, 6),
        "prepared_s": round(profile.prepared_s, 6),
        "phases": {phase.value: round(took, 6) for phase, took in profile.phases().items()},
        "operations": [_span_json(span) for span in profile.spans()],
        "longest_chain": [_span_json(span) for span in profile.longest_chain()],
    }


def _span_json(span: Span) -> dict[str, Any]:
    operation = span.operation
    return {
        "id": operation.id,
        "action": operation.action.value,
        "resource": operation.to_json()["resource"],
        "phase": span.phase.value,
        "start_s": round(span.start_s, 6),
        "end_s": round(span.end_s, 6),
        "waited_s": round(span.waited_s, 6),
    }
