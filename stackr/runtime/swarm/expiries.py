"""When stacks are to go: a config a stack, whose label has the moment.

It belongs to its stack (`docker stack rm` takes it along), and it can change without anything else
being touched: of a config, labels can.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, Final

from stackr.errors import Conflict, NotFound
from stackr.runtime.docker import create
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import EXPIRES, EXPIRES_WITH_VOLUMES, STACK_NAMESPACE
from stackr.runtime.swarm.refusals import refusals
from stackr.runtime.swarm.revisions import readable_name
from stackr.runtime.workloads import Expiry, ObservedDocument
from stackr.text import whole_number

__all__ = ["clear", "is_expiry", "listed", "read", "set_to"]

Json = dict[str, Any]

_TRIES: Final = 5
_LAST_MOMENT: Final = 253402300799  # the end of the year 9999, and of calendars
_CONTENT: Final = b"The label io.stackr.expires says, in Unix seconds, when this stack goes.\n"


def is_expiry(document: ObservedDocument) -> bool:
    """Whether a config is the note of when its stack goes, and none of the stack's own."""
    return EXPIRES in document.labels


async def listed(client: Client) -> list[Expiry]:
    """Of all stacks, by project."""
    items = await _configs(client, EXPIRES)
    found = [expiry for item in items if (expiry := read(item)) is not None]
    return sorted(found, key=lambda each: each.project)


async def set_to(client: Client, expiry: Expiry) -> None:
    """Raises Conflict where others keep changing it at the same time."""
    body = {
        "Name": readable_name(expiry.project, "expires"),
        "Labels": {
            STACK_NAMESPACE: expiry.project,
            EXPIRES: str(math.ceil(expiry.at)),
            EXPIRES_WITH_VOLUMES: "true" if expiry.with_volumes else "false",
        },
    }
    for _ in range(_TRIES):
        try:
            with refusals(_what(expiry.project)):
                await _written(client, expiry.project, body)
        except (Conflict, NotFound):
            continue  # somebody else has written, or removed it, meanwhile
        return
    raise Conflict(f"{_what(expiry.project)}: changed by somebody else at the same time")


async def _written(client: Client, project: str, body: Json) -> None:
    """Raises Conflict and NotFound where it is another one by now."""
    found = await _of(client, project)
    if not found:
        data = base64.b64encode(_CONTENT).decode()
        await client.call("POST", "/configs/create", body={**body, "Data": data})
        return
    path, version = f"/configs/{found[0]['ID']}/update", found[0]["Version"]["Index"]
    await client.call("POST", path, query={"version": version}, body=body)


async def clear(client: Client, project: str) -> None:
    """One that has none is fine."""
    for item in await _of(client, project):
        try:
            await client.call("DELETE", f"/configs/{item['ID']}")
        except NotFound:
            continue


def read(item: Json) -> Expiry | None:
    """Pure. None for what somebody else has labelled so."""
    labels = item["Spec"].get("Labels") or {}
    project = labels.get(STACK_NAMESPACE, "")
    moment = whole_number(labels.get(EXPIRES, ""), most=_LAST_MOMENT)
    if moment is None or not project:
        return None
    return Expiry(project, float(moment), labels.get(EXPIRES_WITH_VOLUMES) == "true")


async def _of(client: Client, project: str) -> list[Json]:
    return await _configs(client, EXPIRES, f"{STACK_NAMESPACE}={project}")


async def _configs(client: Client, *labels: str) -> list[Json]:
    query = {"filters": json.dumps(create.filters(labels))}
    return list(await client.call("GET", "/configs", query=query) or ())


def _what(project: str) -> str:
    return f'the time of "{project}"'
