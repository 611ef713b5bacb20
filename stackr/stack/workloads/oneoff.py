"""`run` on a cluster: one task beside the stack's services, from its plan to its exit code.

No engine of a cluster is told to make a container, so that what runs has the service's networks,
configs and secrets: it is a service of one task, on whichever node, whose output the cluster
collects. It is removed at its end, and where its caller is interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from functools import cached_property

from stackr.errors import Conflict, StackrError
from stackr.executor.convergence import judge
from stackr.executor.outcome import Outcome
from stackr.planner.commands.job import as_job
from stackr.planner.commands.oneoff import OneOff
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState
from stackr.runtime.workloads import ENDED_STATES, DocumentKind, TaskState, Workloads
from stackr.spec.model.project import Project
from stackr.stack.context import Context
from stackr.stack.log_position import LogPosition
from stackr.stack.oneoff import OneOffEnd, start_failure
from stackr.stack.workloads.converge import check_options
from stackr.stack.workloads.nodes import NodeEngines
from stackr.stack.workloads.planning import look, plan_documents, rendered
from stackr.stack.workloads.tasks import StackTask

__all__ = ["ClusterJob", "JoinTerminal", "Write", "exit_code"]

Write = Callable[[str, bytes], None]
"""(stdout or stderr, a line without its end)"""
JoinTerminal = Callable[[Runtime, ContainerState], Awaitable[int]]
"""Joins a running container on its own engine; its exit code."""

_POLL_S = 0.25
_NOT_STARTED = "starting container failed"


class ClusterJob:
    """One `run`. Raises InvalidProject for what the cluster cannot do, and NotSupported for options
    that it has no way of.
    """

    def __init__(
        self,
        context: Context,
        cluster: Workloads,
        project: Project,
        wanted: OneOff,
        options: UpOptions,
    ) -> None:
        check_options(options)
        whole, self._key = as_job(project, wanted)
        self._context = context
        self._cluster = cluster
        self._project = project.name
        self._options = replace(options, services=(self._key,), wait=False)
        self._wanted = rendered(whole, self._options, cluster.dialect, cluster.capabilities)

    @cached_property
    def _name(self) -> str:
        """The document's."""
        services = self._wanted.of_kind(DocumentKind.SERVICE)
        return next(each.name for each in services if each.key == self._key)

    async def begin(self) -> OneOffEnd:
        """Bring up what it needs, and make it; it runs by itself then. container: the job's ID."""
        seen = await look(self._cluster, self._wanted, self._options)
        plan = plan_documents(self._cluster, seen, self._options)
        if self._context.foresees(plan):
            return OneOffEnd(0)
        outcome = Outcome(plan)
        try:
            await self._context.apply_documents(outcome, self._cluster)
        except asyncio.CancelledError:
            await self._remove()
            raise
        if code := await self._context.tell_cluster_failures(outcome, self._cluster, None):
            return OneOffEnd(code)
        return OneOffEnd(0, await self._id())

    async def followed(self, write: Write) -> OneOffEnd:
        """To its end, with its output; then it is removed."""
        async with self._begun() as end:
            if not end.container:
                return end
            position = LogPosition()
            reading = asyncio.ensure_future(self._read(position, write, follow=True))
            try:
                task = await self._reached(ENDED_STATES)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            with contextlib.suppress(StackrError):  # its log may be kept elsewhere
                await self._read(position, write, follow=False)
            return OneOffEnd(exit_code(task), end.container)

    async def at_terminal(self, join: JoinTerminal) -> OneOffEnd:
        """To its end, joined to the caller's terminal.

        Raises Unavailable, naming it, where the engine of the node that it is on is out of reach.
        """
        async with self._begun() as end:
            if not end.container:
                return end
            task = await self._reached({"running", *ENDED_STATES})
            if task.state in ENDED_STATES:
                return OneOffEnd(exit_code(task), end.container)
            async with NodeEngines(self._cluster) as engines:
                runtime = await engines.of(StackTask(self._key, task))
                container = await runtime.inspect_container(task.container_id)
                return OneOffEnd(await join(runtime, container), end.container)

    @contextlib.asynccontextmanager
    async def _begun(self) -> AsyncIterator[OneOffEnd]:
        end = await self.begin()
        try:
            yield end
        finally:
            await self._remove()

    async def _reached(self, states: Collection[str]) -> TaskState:
        """The job's task, once it is in one of these. Raises Conflict where it never will be."""
        since, seen = asyncio.get_running_loop().time(), ""
        while True:
            found = await self._cluster.status(self._project, services=[self._name])
            if not found:
                raise Conflict(f"service {self._name} has been removed")
            task = next(iter(found[0].tasks), None)
            if task is not None and task.state in states:
                return task
            verdict, now = judge(found[0]), asyncio.get_running_loop().time()
            if verdict.error != seen:
                since, seen = now, verdict.error
            if verdict.error and now - since >= verdict.steady_s:
                raise Conflict(f"service {self._name}: {verdict.error}")
            await asyncio.sleep(_POLL_S)

    async def _read(self, position: LogPosition, write: Write, *, follow: bool) -> None:
        lines = self._cluster.logs(
            self._name, follow=follow, since=position.begin(), timestamps=True
        )
        async for entry in lines:
            if position.take(entry.time_ns):
                write(entry.stream, entry.line)

    async def _id(self) -> str:
        documents = (await self._cluster.observe(self._project)).documents
        return next((each.id for each in documents if each.name == self._name), "")

    async def _remove(self) -> None:
        with contextlib.suppress(StackrError):  # `down` takes what stays
            if id := await self._id():
                await self._cluster.remove(DocumentKind.SERVICE, id)


def exit_code(task: TaskState) -> int:
    """Raises as `docker run` exits, for a container that did not start."""
    if task.state == "complete":
        return 0
    if task.exit_code is not None and _NOT_STARTED not in task.error:
        return task.exit_code
    place = f"on {task.node}: " if task.node else ""
    raise start_failure(StackrError(f"{place}{task.error or task.state}"))
