"""`stackr system events`: what happens to all things of an engine, as it happens.

Source: docker/cli, cli/command/system/events.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.container import values
from stackr.cli.objects.engine import Call, Json, on_engine
from stackr.cli.objects.filters import FILTER, filters
from stackr.cli.objects.go_values import Map
from stackr.cli.objects.listing import go_json, parse_template
from stackr.cli.views.moments import local
from stackr.cli.views.template import Template
from stackr.options import Option

__all__ = ["event_text", "events"]


@dataclass(frozen=True, slots=True)
class EventsArguments:
    """`stackr system events`."""

    filters: Annotated[tuple[str, ...], FILTER] = ()
    form: Annotated[str, Option("--format", metavar="FORMAT", help="json, or a Go template")] = ""
    since: Annotated[
        str,
        Option("--since", metavar="WHEN", help="Also what was: 10m, 2026-01-02"),
    ] = ""
    until: Annotated[str, Option("--until", metavar="WHEN", help="End at this time")] = ""


@takes(EventsArguments)
def events(ctx: typer.Context, arguments: EventsArguments) -> None:
    """Show what happens to the engine's things, until Ctrl-C."""
    form = parse_template(arguments.form)
    query = {
        "filters": filters(arguments.filters),
        "since": values.moment("--since", arguments.since),
        "until": values.moment("--until", arguments.until),
    }

    async def work(call: Call) -> None:
        async with call.runtime.request_stream("GET", "/events", query=query) as chunks:
            async for event in call.runtime.json_lines(chunks, "/events"):
                if arguments.form:
                    call.line(_rendered(event, form))
                else:
                    call.line(event_text(event))

    on_engine(ctx, work, read_only=True)


def _rendered(event: Json, form: Template) -> str:
    """With the names that Go has for the fields, and as the engine wrote it for `json`."""
    actor = event.get("Actor") or {}
    named = {
        "Type": event.get("Type") or "",
        "Action": event.get("Action") or "",
        "Actor": {"ID": actor.get("ID") or "", "Attributes": Map(actor.get("Attributes") or {})},
        "Scope": event.get("scope") or "",
        "Time": event.get("time") or 0,
        "TimeNano": event.get("timeNano") or 0,
        "ID": event.get("id") or "",
        "Status": event.get("status") or "",
        "From": event.get("from") or "",
    }
    return form.render(named, {"json": lambda value: go_json(_plain(event, value, named))})


def _plain(event: Json, value: object, named: Json) -> object:
    """Of the whole event, the engine's own fields in Docker's order; maps by their keys."""
    if value is not named:
        return value
    actor = event.get("Actor") or {}
    attributes = dict(sorted((actor.get("Attributes") or {}).items()))
    own = {**event, "Actor": {"ID": actor.get("ID") or "", "Attributes": attributes}}
    return {key: own[key] for key in _ORDER if own.get(key)}


_ORDER = ("status", "id", "from", "Type", "Action", "Actor", "scope", "time", "timeNano")
"""Of the fields in Docker's JSON."""


def event_text(event: Json) -> str:
    """`2026-01-02T13:23:37.123456789Z container start 0123... (image=web:1, name=web)`."""
    seconds, nanoseconds = divmod(event.get("timeNano") or 0, 10**9)
    moment = local(seconds)
    zone = f"{moment:%z}"
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    actor = event.get("Actor") or {}
    own = actor.get("Attributes") or {}
    attributes = ", ".join(f"{key}={own[key]}" for key in sorted(own))
    text = f"{event.get('Type')} {event.get('Action')} {actor.get('ID') or ''}"
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}{zone}"
    return f"{stamp} {text}" + (f" ({attributes})" if attributes else "")
