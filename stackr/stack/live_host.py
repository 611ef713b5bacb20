"""A stack on an engine of containers: see `live.LiveStack`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stackr.errors import NotSupported
from stackr.planner.commands.lifecycle import plan_stop
from stackr.planner.commands.oneoff import needs_options
from stackr.planner.commands.restarting import Optional, plan_restart, plan_start
from stackr.planner.desired.image_build import BuildOptions
from stackr.planner.desired.project import Desired, desired
from stackr.planner.observe.observed import Observed
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime, SupportsStats
from stackr.runtime.types import ContainerState, ContainerStats, EngineEvent
from stackr.spec.model.project import Project
from stackr.stack.build import build_images, chosen_builds
from stackr.stack.containers import list_containers
from stackr.stack.context import Context
from stackr.stack.converge import converge
from stackr.stack.down import take_down
from stackr.stack.execution import Output, exec_config, execute, one_off
from stackr.stack.goal import Goal
from stackr.stack.heard import Heard
from stackr.stack.history import read_history
from stackr.stack.lifecycle import Change, change
from stackr.stack.log_lines import LogLine, MessageSink, log_lines
from stackr.stack.log_request import LogRequest
from stackr.stack.oneoff import run_one_off
from stackr.stack.planning import desire, for_readers, foresee_up
from stackr.stack.replica import find_replica
from stackr.stack.result import Completed, Result
from stackr.stack.rollback import rollback_goal
from stackr.stack.saved import plan_text, read_plan, save_plan, saved_goal
from stackr.stack.source import Source
from stackr.stack.usage import UsageReaders
from stackr.stack.watch.follow import follow
from stackr.stack.watch.rules import watch_rules

__all__ = ["HostStack"]


class HostStack:
    """Made by `Stack.open`."""

    def __init__(
        self, source: Source, name: str, project: Project | None, context: Context, runtime: Runtime
    ) -> None:
        self._source = source
        self._name = name
        self._project = project
        self._heard = Heard(context.report)
        self._context = replace(context, report=self._heard, project=project)
        self._runtime = runtime

    async def diff(
        self, options: UpOptions | None = None, *, out: str | Path | None = None
    ) -> Plan:
        goal = self._goal(options or UpOptions())
        plan, observed = await foresee_up(self._runtime, goal.wanted, goal.options)
        if out is not None:
            save_plan(str(out), plan, goal.wanted, observed, goal.options, self._source)
        return for_readers(plan, goal.wanted, goal.project)

    async def propose(self, options: UpOptions | None = None) -> tuple[Plan, bytes]:
        goal = self._goal(options or UpOptions())
        plan, observed = await foresee_up(self._runtime, goal.wanted, goal.options)
        text = plan_text(plan, goal.wanted, observed, goal.options, self._source)
        return for_readers(plan, goal.wanted, goal.project), text.encode()

    async def up(self, options: UpOptions | None = None, *, ttl_s: float | None = None) -> Result:
        goal = replace(self._goal(options or UpOptions()), ttl_s=ttl_s)
        return self._heard.checked(await converge(self._context, self._runtime, goal))

    async def apply(
        self, plan: str | Path | bytes, *, wait: bool = False, atomic: bool = False
    ) -> Result:
        document, name = read_plan(plan)
        goal = saved_goal(document, name, self._source, self._context.engine)
        goal = replace(goal, options=replace(goal.options, wait=wait, atomic=atomic))
        return self._heard.checked(await converge(self._context, self._runtime, goal))

    async def rollback(self, revision: int | None = None, *, wait: bool = False) -> Result:
        options = UpOptions(wait=wait, remove_orphans=True)
        goal = await rollback_goal(self._context, self._runtime, self._name, revision, options)
        self._context.message(goal.announcement)
        return self._heard.checked(await converge(self._context, self._runtime, goal))

    async def down(self, options: DownOptions | None = None) -> Result:
        wanted = desired(self._project) if self._project is not None else None
        return self._heard.checked(
            await take_down(
                self._context, self._runtime, self._name, wanted, options or DownOptions()
            )
        )

    async def start(self, *services: str) -> Result:
        return await self._change(
            services, lambda seen, names, optional: plan_start(seen, names, optional=optional)
        )

    async def stop(self, *services: str, timeout_s: float | None = None) -> Result:
        return await self._change(
            services, lambda seen, names, _: plan_stop(seen, names, timeout_s=timeout_s)
        )

    async def restart(self, *services: str, timeout_s: float | None = None) -> Result:
        return await self._change(
            services,
            lambda seen, names, optional: plan_restart(
                seen, names, optional=optional, timeout_s=timeout_s
            ),
        )

    async def ps(self, services: Sequence[str] = (), *, all: bool = False) -> list[ContainerState]:
        return await list_containers(self._runtime, self._name, services, all=all)

    async def history(self) -> list[Revision]:
        return await read_history(self._runtime, self._name)

    def logs(self, request: LogRequest | None = None) -> AsyncIterator[LogLine]:
        return log_lines(self._context, self._runtime, self._name, request or LogRequest())

    def events(self) -> AsyncIterator[EngineEvent]:
        return self._runtime.events(labels=[f"{labels.PROJECT}={self._name}"])

    async def usage(
        self, ids: Collection[str] | None = None, *, every_s: float = 1.0
    ) -> AsyncIterator[dict[str, ContainerStats]]:
        if not isinstance(self._runtime, SupportsStats):
            raise NotSupported("stats: this engine does not offer it")
        readers = UsageReaders(self._runtime)
        try:
            while True:
                readers.follow([each.id for each in await self.ps()] if ids is None else ids)
                yield dict(readers.latest)
                await asyncio.sleep(every_s)
        finally:
            await readers.close()

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
        options = UpOptions(no_deps=no_deps)
        project = self._source.load((service,))
        needs = self._desired(project, needs_options(service, options))
        output = Output()
        end = await run_one_off(
            self._context, self._runtime, needs, wanted, options, converse=output.hear
        )
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
        container = await find_replica(self._runtime, self._name, service, index)
        config = exec_config(command, environment, user, working_dir)
        return await execute(self._runtime, container, config)

    async def build(self, *services: str, options: BuildOptions | None = None) -> None:
        project = self._source.load(services)
        chosen = chosen_builds(project, services)
        if chosen.services:
            wanted = self._desired(project, chosen)
            code = await build_images(
                self._context, self._runtime, wanted, chosen, options or BuildOptions()
            )
            self._heard.checked(Result(Plan(self._name), "failed" if code else "applied", code))

    async def watch(self, options: UpOptions | None = None, *, prune: bool = True) -> None:
        goal = self._goal(options or UpOptions())
        rules = watch_rules(goal.project)
        self._heard.checked(await converge(self._context, self._runtime, goal))
        hooks = MessageSink(self._context)
        await follow(self._context, self._runtime, goal, rules, hooks, prune=prune)

    def _goal(self, options: UpOptions) -> Goal:
        project = self._source.load(options.services)
        return Goal(project, self._desired(project, options), options)

    def _desired(self, project: Project, options: UpOptions) -> Desired:
        return desire(
            project,
            options,
            engine=self._context.engine,
            all_resources=self._source.options.all_resources,
        )

    async def _change(
        self,
        services: tuple[str, ...],
        make: Callable[[Observed, tuple[str, ...], Optional], Plan],
    ) -> Result:
        file = self._source.declared(services) if self._project is not None else None
        return self._heard.checked(
            await change(self._context, self._runtime, self._name, services, file, Change(make))
        )
