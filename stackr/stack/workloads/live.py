"""A stack on an engine that runs replicas itself: see `live.LiveStack`.

Replicas stand for containers: those that run are reached by the engines of their nodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from stackr.errors import NotFound, NotSupported
from stackr.planner.desired.image_build import BuildOptions
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.planner.review.saved import options_of
from stackr.runtime.types import ContainerState, ContainerStats, EngineEvent
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.stack.context import Context
from stackr.stack.execution import Output, exec_config, execute, one_off
from stackr.stack.heard import Heard
from stackr.stack.log_lines import LogLine, lines_of
from stackr.stack.log_read import LogSink
from stackr.stack.log_request import LogRequest
from stackr.stack.result import Completed, Result
from stackr.stack.saved import document_plan_text, read_plan, save_document_plan
from stackr.stack.source import Source
from stackr.stack.workloads.containers import cluster_containers
from stackr.stack.workloads.converge import (
    ClusterGoal,
    converge_cluster,
    foresee_cluster,
    goal_of_revision,
    restart_on_cluster,
    take_down_cluster,
    up_goal,
)
from stackr.stack.workloads.history import kept_revisions
from stackr.stack.workloads.logs import show_cluster_logs
from stackr.stack.workloads.nodes import one_container
from stackr.stack.workloads.oneoff import ClusterJob
from stackr.stack.workloads.task_events import task_events
from stackr.stack.workloads.usage import cluster_usage

__all__ = ["ClusterStack"]


class ClusterStack:
    """Made by `Stack.open`."""

    def __init__(
        self,
        source: Source,
        name: str,
        project: Project | None,
        context: Context,
        cluster: Workloads,
    ) -> None:
        self._source = source
        self._name = name
        self._heard = Heard(context.report)
        self._context = replace(context, report=self._heard, project=project)
        self._cluster = cluster

    async def diff(
        self, options: UpOptions | None = None, *, out: str | Path | None = None
    ) -> Plan:
        goal = self._goal(options or UpOptions())
        plan, seen = await foresee_cluster(self._cluster, goal)
        if out is not None:
            save_document_plan(str(out), plan, seen, goal.options, self._source)
        return plan

    async def propose(self, options: UpOptions | None = None) -> tuple[Plan, bytes]:
        goal = self._goal(options or UpOptions())
        plan, seen = await foresee_cluster(self._cluster, goal)
        return plan, document_plan_text(plan, seen, goal.options, self._source).encode()

    async def up(self, options: UpOptions | None = None, *, ttl_s: float | None = None) -> Result:
        return await self._converge(self._goal(options or UpOptions(), ttl_s=ttl_s))

    async def apply(
        self, plan: str | Path | bytes, *, wait: bool = False, atomic: bool = False
    ) -> Result:
        document, _ = read_plan(plan)
        goal = self._goal(replace(options_of(document), wait=wait, atomic=atomic))
        return await self._converge(replace(goal, action="apply", saved=document))

    async def rollback(self, revision: int | None = None, *, wait: bool = False) -> Result:
        goal = await goal_of_revision(self._cluster, self._name, revision, UpOptions(wait=wait))
        self._context.message(goal.announcement)
        return await self._converge(goal)

    async def down(self, options: DownOptions | None = None) -> Result:
        return self._heard.checked(
            await take_down_cluster(
                self._context, self._cluster, self._name, options or DownOptions()
            )
        )

    async def start(self, *services: str) -> Result:
        _refuse("start", "UpOptions(scale=...) of up sets how many replicas run")

    async def stop(self, *services: str, timeout_s: float | None = None) -> Result:
        _refuse("stop", "UpOptions(scale=...) of up sets how many replicas run, 0 as well")

    async def restart(self, *services: str, timeout_s: float | None = None) -> Result:
        if timeout_s is not None:
            _refuse("restart: timeout_s", "stop_grace_period of the stack file says how long")
        return self._heard.checked(
            await restart_on_cluster(self._context, self._cluster, self._name, services)
        )

    async def ps(self, services: Sequence[str] = (), *, all: bool = False) -> list[ContainerState]:
        return await cluster_containers(self._cluster, self._name, services, all=all)

    async def history(self) -> list[Revision]:
        return [kept.revision for kept in await kept_revisions(self._cluster, self._name)]

    def logs(self, request: LogRequest | None = None) -> AsyncIterator[LogLine]:
        wanted = replace(request or LogRequest(), timestamps=True)

        async def show(sink: LogSink) -> None:
            try:
                await show_cluster_logs(self._cluster, self._name, wanted, sink)
            except NotFound:  # a stack that is not up has no lines, as on one host
                if wanted.services:
                    raise

        return lines_of(self._context, show)

    def events(self) -> AsyncIterator[EngineEvent]:
        return task_events(self._cluster, self._name)

    def usage(
        self, ids: Collection[str] | None = None, *, every_s: float = 1.0
    ) -> AsyncIterator[dict[str, ContainerStats]]:
        return cluster_usage(self._cluster, self._name, ids, every_s)

    async def run(
        self,
        service: str,
        command: Sequence[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        working_dir: str | None = None,
        no_deps: bool = False,
    ) -> Completed:
        wanted = one_off(service, command, environment, user, working_dir)
        project, options = self._source.load((service,)), UpOptions(no_deps=no_deps)
        job = ClusterJob(self._context, self._cluster, project, wanted, options)
        output = Output()
        end = await job.followed(lambda stream, line: output.take(stream, line + b"\n"))
        if not end.container:
            self._heard.checked(Result(Plan(self._name), "failed", end.exit_code))
        return output.completed(end.exit_code, end.container)

    async def exec(
        self,
        service: str,
        command: Sequence[str],
        *,
        index: int | None = None,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        working_dir: str = "",
    ) -> Completed:
        config = exec_config(command, environment, user, working_dir)
        async with one_container(self._cluster, self._name, service, index) as (runtime, container):
            return await execute(runtime, container, config)

    async def build(self, *services: str, options: BuildOptions | None = None) -> None:
        _refuse("build", "build and push on an engine of containers")

    async def watch(self, options: UpOptions | None = None, *, prune: bool = True) -> None:
        _refuse("watch", "follow source files on an engine of containers")

    def _goal(self, options: UpOptions, *, ttl_s: float | None = None) -> ClusterGoal:
        project = self._source.load(options.services)
        return up_goal(self._cluster, project, options, ttl_s=ttl_s)

    async def _converge(self, goal: ClusterGoal) -> Result:
        return self._heard.checked(await converge_cluster(self._context, self._cluster, goal))


def _refuse(what: str, hint: str) -> NoReturn:
    raise NotSupported(f"{what}: not on a cluster, whose nodes make the containers", hint=hint)
