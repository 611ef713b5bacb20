"""What happens to a project's documents, and to nodes.

A manager's events name the object, not its labels: whose it is shows at the object itself, which is
looked at when it first turns up. One that is gone by then is told of only if it was known before.
Source: Docker Engine API, SystemEvents (scope "swarm").
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from stackr.errors import NotFound
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.observe import engine_event
from stackr.runtime.labels import STACK_NAMESPACE
from stackr.runtime.types import EngineEvent
from stackr.runtime.workloads import WorkloadEvent

__all__ = ["project_events"]

_PATHS = {
    "service": "/services",
    "network": "/networks",
    "config": "/configs",
    "secret": "/secrets",
}
_FILTERS = json.dumps({"type": [*_PATHS, "node"], "scope": ["swarm"]})


async def project_events(
    client: Client, project: str, known: set[str], *, since: str | None, until: str | None
) -> AsyncIterator[WorkloadEvent]:
    """known: IDs of the project's documents; grows by those that turn up."""
    others: set[str] = set()
    query = {"filters": _FILTERS, "since": since, "until": until}
    async with client.stream("GET", "/events", query=query) as chunks:
        yield WorkloadEvent("", "", "")
        async for item in client.lines(chunks, "/events"):
            event = engine_event(item)
            if event.type != "node" and event.id not in known | others:
                is_own = await _is_of(client, project, event)
                (known if is_own else others).add(event.id)
            if event.type == "node" or event.id in known:
                yield _told(event)


async def _is_of(client: Client, project: str, event: EngineEvent) -> bool:
    path = _PATHS.get(event.type)
    if path is None:
        return False
    try:
        found: dict[str, Any] = await client.call("GET", f"{path}/{event.id}")
    except NotFound:  # gone by now: its name is all that is known of it
        return event.attributes.get("name", "").startswith(f"{project}_")
    labels = found.get("Labels") or (found.get("Spec") or {}).get("Labels") or {}
    return bool(labels.get(STACK_NAMESPACE) == project)


def _told(event: EngineEvent) -> WorkloadEvent:
    return WorkloadEvent(
        kind=event.type,
        action=event.action,
        id=event.id,
        name=event.attributes.get("name", ""),
        attributes=event.attributes,
        time_ns=event.time_ns,
    )
