"""Tasks of a cluster as `ps` shows them, with the columns of `docker stack ps`.

Source: docker/cli, cli/command/task/formatter.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.cli.views.units import age
from stackr.runtime.workloads import TaskState

__all__ = ["TASK_COLUMNS", "TASK_HEADINGS", "task_fields"]

TASK_COLUMNS = (
    "Name",
    "Image",
    "Node",
    "Service",
    "DesiredState",
    "CurrentState",
    "Error",
    "Ports",
)
TASK_HEADINGS: Mapping[str, str] = {
    "CurrentState": "CURRENT STATE",
    "DesiredState": "DESIRED STATE",
    "Error": "ERROR",
    "ID": "ID",
    "Image": "IMAGE",
    "Name": "NAME",
    "Node": "NODE",
    "Ports": "PORTS",
    "Service": "SERVICE",
    "State": "STATE",
    "ContainerID": "CONTAINER ID",
}
_SHORT_ID = 12
_ERROR_WIDTH = 40


def task_fields(
    task: TaskState, name: str, service: str, *, now: float, whole: bool = False
) -> dict[str, Any]:
    """What a template can name. service: the stack file's. now: Unix seconds; whole: uncut."""
    error = task.error if whole or len(task.error) <= _ERROR_WIDTH else f"{task.error[:39]}…"
    return {
        "ContainerID": task.container_id,
        "CurrentState": f"{task.state.capitalize()} {age(now - task.at)} ago",
        "DesiredState": task.desired_state.capitalize(),
        "Error": error,
        "ID": task.id if whole else task.id[:_SHORT_ID],
        "Image": task.image if whole else task.image.partition("@")[0],
        "Name": name,
        "Node": task.node,
        "Ports": ", ".join(f"*:{out}->{into}/{kind}" for out, into, kind in task.ports),
        "Service": service,
        "State": task.state,
    }
