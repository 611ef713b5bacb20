"""stackr's own call for all that the engine has of a project; see docs/engine-api.md."""

from __future__ import annotations

from stackr.runtime.docker import observe
from stackr.runtime.docker.client import Client, Query
from stackr.runtime.labels import HISTORY, PROJECT
from stackr.runtime.snapshot import Snapshot, SnapshotQuery

__all__ = ["ask", "is_short"]

_LONGEST = 16_000
"""Characters of names. Each is at most three bytes in a URL, and the engine takes 128 KiB."""


def is_short(query: SnapshotQuery) -> bool:
    """Whether it fits into a request's first line."""
    names = (*query.images, *query.containers, *query.networks, *query.volumes)
    return sum(len(name.encode(errors="replace")) + len("&container=") for name in names) < _LONGEST


async def ask(client: Client, query: SnapshotQuery) -> Snapshot:
    wanted: Query = {
        "label": [f"{key}={query.project}" for key in (PROJECT, HISTORY)],
        "image": query.images,
        "container": query.containers,
        "network": sorted(query.networks),
        "volume": sorted(query.volumes),
    }
    found = await client.call("GET", "/stackr/v1/snapshot", query=wanted)
    return Snapshot(
        [
            observe.container_listed(item)
            for item in found["Containers"]
            if item["Labels"].get(PROJECT) == query.project
        ],
        [observe.network_state(item) for item in found["Networks"]],
        [observe.volume_state(item) for item in found["Volumes"]],
        {name: observe.image_state(item) for name, item in found["Images"].items()},
        {name: observe.container_inspected(item) for name, item in found["Referenced"].items()},
        {
            name: [observe.network_fault(item) for item in items]
            for name, items in found["Faults"].items()
        },
    )
