"""A stack with its engine open: what can be done to it, as coroutines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stackr.errors import NotSupported, StackrError
from stackr.planner.commands.lifecycle import plan_stop
from stackr.planner.commands.oneoff import OneOff, needs_options
from stackr.planner.commands.restarting import Optional, plan_restart, plan_start
from stackr.planner.desired.image_build import BuildOptions
from stackr.planner.desired.project import Desired, desired
from stackr.planner.observe.observed import Observed
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime import labels
from stackr.runtime.container import ExecConfig
from stackr.runtime.protocol import Runtime, Streams, SupportsExec, SupportsStats
from stackr.runtime.types import ContainerState, ContainerStats, EngineEvent
from stackr.spec.model.project import Project
from stackr.stack.build import build_images, chosen_builds
from stackr.stack.containers import list_containers
from stackr.stack.context import Context
from stackr.stack.converge import converge
from stackr.stack.down import take_down
from stackr.stack.events import OperationsFailed, Report, StackEvent
from stackr.stack.failure import FailureReport
from stackr.stack.goal import Goal
from stackr.stack.history import read_history
from stackr.stack.lifecycle import Change, change
from stackr.stack.log_lines import LogLine, MessageSink, log_lines
from stackr.stack.log_request import LogRequest
from stackr.stack.oneoff import Kill, run_one_off
from stackr.stack.planning import desire, for_readers, foresee_up
from stackr.stack.replica import find_replica
from stackr.stack.result import ChangeFailed, Completed, Result
from stackr.stack.rollback import rollback_goal
from stackr.stack.saved import MAX_BYTES, parse_plan, plan_text, save_plan, saved_goal
from stackr.stack.source import Source
from stackr.stack.usage import UsageReaders
from stackr.stack.watch.follow import follow
from stackr.stack.watch.rules import watch_rules

__all__ = ["LiveStack"]


class LiveStack:
    """Made by `Stack.open`. What changes something raises ChangeFailed where it is not all done."""

    def __init__(
        self, source: Source, name: str, project: Project | None, context: Context, runtime: Runtime
    ) -> None:
        self._source = source
        self._name = name
        self._project = project
        self._heard = _Heard(context.report)
        self._context = replace(context, report=self._heard, project=project)
        self._runtime = runtime

    async def diff(
        self, options: UpOptions | None = None, *, out: str | Path | None = None
    ) -> Plan:
        """What `up` would do; nothing is changed. out: where the plan is saved for `apply`.

        A stack's policy may refuse it: see `Plan.is_refused`.
        """
        goal = self._goal(options or UpOptions())
        plan, observed = await foresee_up(self._runtime, goal.wanted, goal.options)
        if out is not None:
            save_plan(str(out), plan, goal.wanted, observed, goal.options, self._source)
        return for_readers(plan, goal.wanted, goal.project)

    async def propose(self, options: UpOptions | None = None) -> tuple[Plan, bytes]:
        """As `diff`, with the document that would be saved, which `apply` takes as well."""
        goal = self._goal(options or UpOptions())
        plan, observed = await foresee_up(self._runtime, goal.wanted, goal.options)
        text = plan_text(plan, goal.wanted, observed, goal.options, self._source)
        return for_readers(plan, goal.wanted, goal.project), text.encode()

    async def up(self, options: UpOptions | None = None, *, ttl_s: float | None = None) -> Result:
        """Make what exists match the files. ttl_s: after which the engine takes it down."""
        goal = replace(self._goal(options or UpOptions()), ttl_s=ttl_s)
        return self._checked(await converge(self._context, self._runtime, goal))

    async def apply(
        self, plan: str | Path | bytes, *, wait: bool = False, atomic: bool = False
    ) -> Result:
        """Carry out a plan that `diff` saved, or what it saved. Raises Conflict if out of date."""
        name = "the plan" if isinstance(plan, bytes) else str(plan)
        document = parse_plan(plan if isinstance(plan, bytes) else _read(Path(plan)), name)
        goal = saved_goal(document, name, self._source, self._context.engine)
        goal = replace(goal, options=replace(goal.options, wait=wait, atomic=atomic))
        return self._checked(await converge(self._context, self._runtime, goal))

    async def rollback(self, revision: int | None = None, *, wait: bool = False) -> Result:
        """Go back to a revision; None for the one before the last."""
        options = UpOptions(wait=wait, remove_orphans=True)
        goal = await rollback_goal(self._context, self._runtime, self._name, revision, options)
        self._context.message(goal.announcement)
        return self._checked(await converge(self._context, self._runtime, goal))

    async def down(self, options: DownOptions | None = None) -> Result:
        """Remove containers and networks; volumes only where the options say so."""
        wanted = desired(self._project) if self._project is not None else None
        return self._checked(
            await take_down(
                self._context, self._runtime, self._name, wanted, options or DownOptions()
            )
        )

    async def start(self, *services: str) -> Result:
        """Start containers that exist; without names, all."""
        return await self._change(
            services, lambda seen, names, optional: plan_start(seen, names, optional=optional)
        )

    async def stop(self, *services: str, timeout_s: float | None = None) -> Result:
        """Stop containers, and keep them. timeout_s: before they are killed; None for their own."""
        return await self._change(
            services, lambda seen, names, _: plan_stop(seen, names, timeout_s=timeout_s)
        )

    async def restart(self, *services: str, timeout_s: float | None = None) -> Result:
        """Stop and start containers."""
        return await self._change(
            services,
            lambda seen, names, optional: plan_restart(
                seen, names, optional=optional, timeout_s=timeout_s
            ),
        )

    async def ps(self, services: Sequence[str] = (), *, all: bool = False) -> list[ContainerState]:
        """Its containers that run, by name. all: stopped ones too, and those of `run`."""
        return await list_containers(self._runtime, self._name, services, all=all)

    async def history(self) -> list[Revision]:
        """The revisions that the engine keeps, oldest first."""
        return await read_history(self._runtime, self._name)

    def logs(self, request: LogRequest | None = None) -> AsyncIterator[LogLine]:
        """What its containers have written, in the order of the times; or as it comes."""
        return log_lines(self._context, self._runtime, self._name, request or LogRequest())

    def events(self) -> AsyncIterator[EngineEvent]:
        """What happens to its containers, from the first item on.

        That one is of type "", and says that nothing is missed from now on.
        """
        return self._runtime.events(labels=[f"{labels.PROJECT}={self._name}"])

    async def usage(
        self, ids: Collection[str] | None = None, *, every_s: float = 1.0
    ) -> AsyncIterator[dict[str, ContainerStats]]:
        """What containers use, by their IDs, again and again.

        ids: of which, and looked at each time, so that they may change meanwhile; None for all that
        run. Raises NotSupported where the engine does not measure it.
        """
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
        """Run a command in a new container of a service, which is removed at its end.

        command: None for the service's own. no_deps: what it depends on is not brought up.
        An exit code is no error; ChangeFailed is raised where it could not be run.
        """
        wanted = OneOff(
            service,
            secrets.token_hex(32),
            command=None if command is None else tuple(command),
            environment=environment or {},
            user=user,
            working_dir=working_dir,
            stdin=False,
            auto_remove=True,
        )
        options = UpOptions(no_deps=no_deps)
        project = self._source.load((service,))
        needs = self._desired(project, needs_options(service, options))
        output = _Output()
        end = await run_one_off(
            self._context, self._runtime, needs, wanted, options, converse=output.hear
        )
        if not end.container:
            self._checked(Result(Plan(self._name), "failed", end.exit_code))
        return Completed(end.exit_code, bytes(output.stdout), bytes(output.stderr), end.container)

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
        """Run a command in a service's running container. index: its number; None for the first.

        An exit code is no error. Raises NotFound where none runs, NotSupported where the engine
        has no such call.
        """
        if not isinstance(self._runtime, SupportsExec):
            raise NotSupported("exec: this engine does not offer it")
        container = await find_replica(self._runtime, self._name, service, index)
        config = ExecConfig(
            tuple(command),
            environment=tuple(f"{key}={value}" for key, value in (environment or {}).items()),
            user=user,
            working_dir=working_dir,
        )
        output = _Output()
        program = await self._runtime.exec(container.id, config)
        try:
            await output.read(program)
            code = await program.exit_code()
        finally:
            await program.close()
        return Completed(code, bytes(output.stdout), bytes(output.stderr), container.name)

    async def build(self, *services: str, options: BuildOptions | None = None) -> None:
        """Build the images of these services, or of all that have a `build` section.

        Raises NotFound for a service that is not built, ChangeFailed where a build fails.
        """
        project = self._source.load(services)
        chosen = chosen_builds(project, services)
        if chosen.services:
            wanted = self._desired(project, chosen)
            code = await build_images(
                self._context, self._runtime, wanted, chosen, options or BuildOptions()
            )
            self._checked(Result(Plan(self._name), "failed" if code else "applied", code))

    async def watch(self, options: UpOptions | None = None, *, prune: bool = True) -> None:
        """Bring it up, and follow its source files as `develop.watch` says, until it is cancelled.

        prune: images that a rebuild has replaced are removed. What becomes of each batch of
        changes is reported; one that fails ends nothing.
        """
        goal = self._goal(options or UpOptions())
        rules = watch_rules(goal.project)
        self._checked(await converge(self._context, self._runtime, goal))
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
        return self._checked(
            await change(self._context, self._runtime, self._name, services, file, Change(make))
        )

    def _checked(self, result: Result) -> Result:
        if not result.is_success:
            raise ChangeFailed(result, self._heard.failure)
        return result


def _read(path: Path) -> bytes:
    """A file that may hold a plan. Raises StackrError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise StackrError(f"{path}: {(error.strerror or str(error)).lower()}") from error


class _Heard:
    """A report that remembers the last failure."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.failure: FailureReport | None = None

    def __call__(self, event: StackEvent, /) -> None:
        if isinstance(event, OperationsFailed) and not event.report.is_success:
            self.failure = event.report
        self._report(event)


class _Output:
    """All that a program writes."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()

    async def hear(self, streams: Streams, kill: Kill) -> bool:
        await self.read(streams)
        return False

    async def read(self, streams: Streams) -> None:
        async for stream, data in streams.output():
            (self.stderr if stream == "stderr" else self.stdout).extend(data)
