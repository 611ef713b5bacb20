"""The output of a service's tasks, whichever nodes they are on.

Each line begins with what the manager knows of it: `com.docker.swarm.task.id=X,...` and a blank.
Source: Docker Engine API, ServiceLogs; docker CLI, cli/command/service/logs.go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from stackr.runtime.types import LogEntry
from stackr.runtime.workloads import TaskLogEntry

__all__ = ["Origin", "origin_of", "task_entries"]

_TASK = "com.docker.swarm.task.id"
_NODE = "com.docker.swarm.node.id"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which task a line is of. "": the manager's own words on lines that it could not get."""

    task: str = ""
    node_id: str = ""


def origin_of(line: bytes) -> tuple[Origin, bytes]:
    """Take a line apart: whose it is, and what the task wrote."""
    details, blank, text = line.partition(b" ")
    if not blank or b"com.docker.swarm." not in details:
        return Origin(), line
    pairs = (pair.partition("=") for pair in details.decode(errors="replace").split(","))
    found = {unquote_plus(key): unquote_plus(value) for key, _, value in pairs}
    return Origin(found.get(_TASK, ""), found.get(_NODE, "")), text


async def task_entries(
    entries: AsyncIterator[LogEntry],
    service: str,
    nodes: Mapping[str, str],
    slot_of: Callable[[str], Awaitable[int]],
) -> AsyncIterator[TaskLogEntry]:
    """nodes: names by ID. slot_of: asked once for each task that turns up."""
    slots = {"": 0}
    async for entry in entries:
        origin, text = origin_of(entry.line)
        if origin.task not in slots:
            slots[origin.task] = await slot_of(origin.task)
        yield TaskLogEntry(
            service=service,
            task=origin.task,
            slot=slots[origin.task],
            node=nodes.get(origin.node_id, origin.node_id),
            stream=entry.stream,
            line=text,
            time_ns=entry.time_ns,
        )
