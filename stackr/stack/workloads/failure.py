"""Why a plan was not carried out on a cluster: each root cause with the task's last words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stackr.errors import StackrError
from stackr.executor.convergence import last_failure
from stackr.executor.outcome import Failure, Outcome
from stackr.planner.plan.payloads import AwaitWorkload
from stackr.runtime.workloads import Workloads
from stackr.stack.failure import Cause, FailureReport, report_of

__all__ = ["cluster_failure_report"]

_LOG_LINES = 10
_PATIENCE_S = 20.0


async def cluster_failure_report(outcome: Outcome, cluster: Workloads) -> FailureReport:
    """Ask the cluster about the services that did not come up in `outcome`."""
    causes = await asyncio.gather(
        *(_cause(failure, outcome.plan.project, cluster) for failure in outcome.failed)
    )
    return report_of(outcome, causes)


async def _cause(failure: Failure, project: str, cluster: Workloads) -> Cause:
    operation, error = failure.operation, failure.error
    payload = operation.payload
    if not isinstance(payload, AwaitWorkload):
        subject = f"{operation.resource.kind} {operation.resource.name}: "
        return Cause(operation, subject, error.message, error.hint)
    log: tuple[str, ...] = ()
    state = ""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = await cluster.status(project, services=[payload.name])
            task = last_failure(task for status in found for task in status.tasks)
            if task is not None:
                state = f"{task.state} on {task.node}" if task.node else task.state
                log = await _last_lines(cluster, payload.name, task.id)
    except (StackrError, TimeoutError):
        pass  # what cannot be had is left out, so that the report itself never fails
    return Cause(operation, "", error.message, error.hint, state=state, log=log)


async def _last_lines(cluster: Workloads, service: str, task: str) -> tuple[str, ...]:
    lines: Sequence[str] = [
        entry.line.decode(errors="replace").rstrip("\r")
        async for entry in cluster.logs(service, task=task, tail=_LOG_LINES)
    ]
    return tuple(lines[-_LOG_LINES:])
