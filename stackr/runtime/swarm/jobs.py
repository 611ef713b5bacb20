"""Jobs of a Swarm, whose tasks their service's removal forgets: running ones would go on for good.

What a job's newest run has no part in is removed, containers included, unless it has ended; so a
job is given a run of no tasks before it is removed. What has ended stays in the list of tasks.
Source: swarmkit, manager/orchestrator/jobs/{replicated,global}/reconciler.go.
"""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any, Final

from stackr.runtime.docker.client import Client
from stackr.runtime.workloads import ENDED_STATES

__all__ = ["emptied", "is_job", "let_go"]

Json = dict[str, Any]

_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.1
_NOWHERE: Final = "node.id == none"


def is_job(service: Json) -> bool:
    return bool(service["Spec"].get("Mode", {}).keys() & {"ReplicatedJob", "GlobalJob"})


def emptied(spec: Json) -> Json:
    """The same job with nothing to do. Pure."""
    spec = copy.deepcopy(spec)
    if "ReplicatedJob" in spec["Mode"]:
        spec["Mode"] = {"ReplicatedJob": {"MaxConcurrent": 0, "TotalCompletions": 0}}
    else:
        placement = spec.setdefault("TaskTemplate", {}).setdefault("Placement", {})
        placement["Constraints"] = [_NOWHERE]
    return spec


async def let_go(client: Client, service: Json) -> None:
    """Returns when the Swarm is about to end all that runs of a job. service: as it is now.

    Raises what an update does, and NotFound for a service that is gone.
    """
    path, version = f"/services/{service['ID']}/update", service["Version"]["Index"]
    await client.call("POST", path, query={"version": version}, body=emptied(service["Spec"]))
    filters = json.dumps({"service": [service["ID"]]})
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while asyncio.get_running_loop().time() < deadline:
        tasks = await client.call("GET", "/tasks", query={"filters": filters})
        if not any(map(_goes_on, tasks or ())):
            return
        await asyncio.sleep(_POLL_S)


def _goes_on(task: Json) -> bool:
    return task["Status"]["State"] not in ENDED_STATES and task.get("DesiredState") != "remove"
