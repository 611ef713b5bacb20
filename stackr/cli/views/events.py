"""Events of containers as text and as JSON lines, in Docker Compose's forms."""

from __future__ import annotations

import json

from stackr.cli.views.moments import local, utc
from stackr.runtime import labels
from stackr.runtime.types import EngineEvent

__all__ = ["event_json", "event_line"]

_OWN = ("com.docker.compose.", "io.stackr.")


def event_line(event: EngineEvent) -> str:
    """`2026-01-02 13:23:37.123456 container start 0123… (image=web:1, name=demo-web-1)`."""
    moment = local(event.time_ns // 1000 / 1e6)
    attributes = ", ".join(f"{key}={value}" for key, value in _attributes(event).items())
    return f"{moment:%Y-%m-%d %H:%M:%S.%f} {event.type} {event.action} {event.id} ({attributes})"


def event_json(event: EngineEvent) -> str:
    seconds, nanoseconds = divmod(event.time_ns, 10**9)
    moment = f"{utc(seconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
    value = {
        "action": event.action,
        "attributes": _attributes(event),
        "id": event.id,
        "service": event.attributes.get(labels.SERVICE, ""),
        "time": moment,
        "type": event.type,
    }
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _attributes(event: EngineEvent) -> dict[str, str]:
    """Without the labels by which projects are found."""
    own = event.attributes
    return {key: own[key] for key in sorted(own) if not key.startswith(_OWN)}
