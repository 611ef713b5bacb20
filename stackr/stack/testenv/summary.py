"""A failed test environment on one screen, and as a JSON event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from stackr.stack.testenv.findings import Findings, Suspect
from stackr.text import without_colours

__all__ = ["findings_json", "findings_lines"]

Paint: TypeAlias = Callable[..., str]
"""A text in styles such as "bold" or "red", given after it."""

_MOMENTS = 16
_SUSPECTS = 4


def plain(text: str, *styles: str) -> str:
    """Paint nothing."""
    return text


def findings_lines(
    findings: Findings, paint: Paint = plain, *, artifacts: str = ""
) -> Iterator[str]:
    """The screen, coloured by `paint`. artifacts: where the whole of it is."""
    yield f"{paint('stackr:', 'red', 'bold')} {findings.project}: {findings.headline}"
    for place, suspect in enumerate(findings.suspects[:_SUSPECTS]):
        title = "root cause" if place == 0 else "also"
        yield from _suspect_lines(suspect, title, paint)
    if len(findings.suspects) > _SUSPECTS:
        more = ", ".join(suspect.service for suspect in findings.suspects[_SUSPECTS:])
        yield f"  also: {more}"
    command = findings.command
    if command is not None and not command.skipped:
        yield from _output_lines(findings, paint)
    else:
        yield from _timeline_lines(findings, paint)
    if artifacts:
        yield f"  all of it: {artifacts}"


def _suspect_lines(suspect: Suspect, title: str, paint: Paint) -> Iterator[str]:
    name = paint(f'service "{suspect.service}"', "bold")
    yield f"  {title}: {name}: {suspect.problem}"
    if suspect.place is not None:
        yield f"    at {suspect.place}"
    if suspect.health:
        yield f"    last health check {suspect.health}"
    if suspect.hint:
        yield f"    {suspect.hint}"
    if suspect.log:
        yield f"    last output of {suspect.container}:"
        yield from (f"      {paint('|', 'dim')} {without_colours(line)}" for line in suspect.log)


def _output_lines(findings: Findings, paint: Paint) -> Iterator[str]:
    """What the services wrote while the command ran, after what went wrong with them; the rest of
    the timeline tells nothing of a test."""
    for moment in findings.timeline:
        if moment.is_bad and moment.service:
            yield f"    {moment.at_s:+8.2f} s  {paint(moment.text, 'red')}"
    if not findings.output:
        yield "  the services wrote nothing while it ran"
        return
    width = max(len(spoken.container) for spoken in findings.output)
    yield "  last output of the services while it ran:"
    for spoken in findings.output:
        yield f"    {spoken.container:<{width}} {paint('|', 'dim')} {without_colours(spoken.text)}"


def _timeline_lines(findings: Findings, paint: Paint) -> Iterator[str]:
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
            text = paint(moment.text, "red") if moment.is_bad else moment.text
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
        "output": [
            {"container": spoken.container, "text": spoken.text} for spoken in findings.output
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
