"""A failed test environment on one screen, and as a JSON event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stackr.cli.testenv.findings import Findings, Suspect
from stackr.cli.views.output import Output

__all__ = ["findings_json", "findings_lines"]

_MOMENTS = 16
_SUSPECTS = 4


def findings_lines(findings: Findings, output: Output, *, artifacts: str = "") -> Iterator[str]:
    """The screen, coloured where `output` takes colours. artifacts: where the whole of it is."""
    yield f"{output.paint('stackr:', 'red', 'bold')} {findings.project}: {findings.headline}"
    for place, suspect in enumerate(findings.suspects[:_SUSPECTS]):
        title = "root cause" if place == 0 else "also"
        yield from _suspect_lines(suspect, title, output)
    if len(findings.suspects) > _SUSPECTS:
        more = ", ".join(suspect.service for suspect in findings.suspects[_SUSPECTS:])
        yield f"  also: {more}"
    yield from _timeline_lines(findings, output)
    if artifacts:
        yield f"  all of it: {artifacts}"


def _suspect_lines(suspect: Suspect, title: str, output: Output) -> Iterator[str]:
    name = output.paint(f'service "{suspect.service}"', "bold")
    yield f"  {title}: {name}: {suspect.problem}"
    if suspect.place is not None:
        yield f"    at {suspect.place}"
    if suspect.health:
        yield f"    last health check {suspect.health}"
    if suspect.hint:
        yield f"    {suspect.hint}"
    if suspect.log:
        yield f"    last output of {suspect.container}:"
        yield from (f"      {output.paint('|', 'dim')} {line}" for line in suspect.log)


def _timeline_lines(findings: Findings, output: Output) -> Iterator[str]:
    """The bad moments, and as many others as there is room for, the newest."""
    moments = findings.timeline
    if not moments:
        return
    room = max(_MOMENTS - sum(moment.is_bad for moment in moments), 0)
    good = [place for place, moment in enumerate(moments) if not moment.is_bad]
    dropped = set(good[: max(len(good) - room, 0)])
    yield "  timeline:"
    if dropped:
        yield f"    ({len(dropped)} earlier ones are left out)"
    for place, moment in enumerate(moments):
        if place not in dropped:
            text = output.paint(moment.text, "red") if moment.is_bad else moment.text
            yield f"    {moment.at_s:+8.2f} s  {text}"


def findings_json(findings: Findings) -> dict[str, Any]:
    """The findings as a JSON event."""
    command = findings.command
    return {
        "event": "environment_failed",
        "stack": findings.stack,
        "project": findings.project,
        "message": findings.headline,
        "suspects": [
            {
                "service": suspect.service,
                "container": suspect.container,
                "problem": suspect.problem,
                "health": suspect.health,
                "hint": suspect.hint,
                "place": str(suspect.place) if suspect.place else "",
                "log": list(suspect.log),
            }
            for suspect in findings.suspects
        ],
        "timeline": [
            {
                "at_s": round(moment.at_s, 3),
                "text": moment.text,
                "service": moment.service,
                "bad": moment.is_bad,
            }
            for moment in findings.timeline
        ],
        "services": [
            {
                "service": readiness.service,
                "took_s": round(readiness.took_s, 3),
                "failure": readiness.failure,
                "skipped": readiness.skipped,
            }
            for readiness in findings.services
        ],
        "command": None
        if command is None
        else {
            "argv": list(command.argv),
            "took_s": round(command.took_s, 3),
            "failure": command.failure,
            "skipped": command.skipped,
        },
    }
