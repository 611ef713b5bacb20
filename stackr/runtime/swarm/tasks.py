"""Tasks and how far a service is, from the Engine API's JSON. Pure.

Source: Docker Engine API, Task, Service; swarmkit, design/task_model.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stackr.runtime.docker.observe import unix_time
from stackr.runtime.swarm.documents import update_state
from stackr.runtime.workloads import ENDED_STATES, TaskState, WorkloadStatus

__all__ = ["asked_ports", "task_state", "workload_status"]

Json = dict[str, Any]

_RUNS = ("running", "running")
"""State and desired state: one of a lost node still has the first, and not the second."""


def workload_status(
    service: Json, tasks: Sequence[Json], nodes: Mapping[str, str], current: Collection[str]
) -> WorkloadStatus:
    """tasks: the service's. nodes: names by ID. current: IDs of tasks that the manager calls so.

    All is counted in `tasks`, so that it fits together: the API counts, too, but in another call.
    """
    name = service["Spec"]["Name"]
    run = _iteration(service.get("JobStatus") or {})
    states = [
        task_state(
            task,
            name,
            nodes.get(task.get("NodeID") or "", ""),
            is_current=task["ID"] in current and _iteration(task) == run,
        )
        for task in tasks
    ]
    states.sort(key=lambda task: (-task.created_at, task.id))
    desired, running, completed = _counts(service, states)
    return WorkloadStatus(
        service=name,
        desired=desired,
        running=running,
        completed=completed,
        is_job=_is_job(service),
        version=service["Version"]["Index"],
        update=update_state(service),
        tasks=tuple(states),
        ports=_ports(service.get("Endpoint") or {}, "ingress"),
    )


def _iteration(item: Json) -> int:
    """Which run of a job it is of; 0 for no job."""
    return int((item.get("JobIteration") or {}).get("Index") or 0)


def _is_job(service: Json) -> bool:
    return bool(service["Spec"].get("Mode", {}).keys() & {"ReplicatedJob", "GlobalJob"})


def _counts(service: Json, tasks: Sequence[TaskState]) -> tuple[int, int, int]:
    """(desired, running, completed), as `WorkloadStatus` has them."""
    of_now = [task for task in tasks if task.is_current]
    running = sum((task.state, task.desired_state) == _RUNS for task in tasks)
    completed = sum(task.state == "complete" for task in of_now) if _is_job(service) else 0
    return _desired(service, tasks, of_now), running, completed


def _desired(service: Json, tasks: Sequence[TaskState], current: Sequence[TaskState]) -> int:
    mode: Json = service["Spec"].get("Mode") or {}
    if "ReplicatedJob" in mode:
        job: Json = mode["ReplicatedJob"] or {}
        return int(job.get("TotalCompletions") or job.get("MaxConcurrent") or 1)
    if "GlobalJob" in mode:  # one for each node that suits; a failed one is followed by another
        return len({task.node_id for task in current})
    if "Replicated" in mode:
        replicas = (mode["Replicated"] or {}).get("Replicas")
        return 1 if replicas is None else int(replicas)
    return len({task.node_id for task in tasks if task.desired_state in ("ready", "running")})


def task_state(task: Json, service: str, node: str, *, is_current: bool = True) -> TaskState:
    """node: its name. is_current: see `TaskState`."""
    status: Json = task.get("Status") or {}
    container: Json = status.get("ContainerStatus") or {}
    has_ended = status.get("State") in ENDED_STATES and bool(container.get("ContainerID"))
    spec: Json = task.get("Spec") or {}
    return TaskState(
        id=task["ID"],
        service=service,
        slot=task.get("Slot") or 0,
        node=node,
        node_id=task.get("NodeID") or "",
        state=status.get("State") or "new",
        desired_state=task.get("DesiredState") or "",
        message=status.get("Message") or "",
        error=status.get("Err") or "",
        image=(spec.get("ContainerSpec") or {}).get("Image") or "",
        container_id=container.get("ContainerID") or "",
        exit_code=container.get("ExitCode") if has_ended else None,
        is_current=is_current,
        created_at=unix_time(task.get("CreatedAt")),
        at=unix_time(status.get("Timestamp")),
        ports=_ports(status.get("PortStatus") or {}),
    )


def asked_ports(service: Json) -> frozenset[tuple[int, str]]:
    """(port, protocol) that a service asks for, or has been given."""
    found = (service.get("Endpoint") or {}, service["Spec"].get("EndpointSpec") or {})
    return frozenset(
        (published, protocol)
        for endpoint in found
        for published, _, protocol in _ports(endpoint)
        if published
    )


def _ports(status: Json, mode: str = "") -> tuple[tuple[int, int, str], ...]:
    """Each once: the API has those of IPv4 and IPv6 apart, without saying which is which.

    mode: of these alone; "" for any.
    """
    ports = (
        (port.get("PublishedPort") or 0, port["TargetPort"], port.get("Protocol") or "tcp")
        for port in status.get("Ports") or ()
        if mode in ("", port.get("PublishMode"))
    )
    return tuple(dict.fromkeys(ports))
