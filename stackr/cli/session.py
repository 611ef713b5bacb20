"""What the commands that talk to an engine share: outputs, view, and the context of their work."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Generic, TypeVar

from stackr.cli.arguments import parse_parallel
from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import GlobalOptions
from stackr.cli.views.arrival import Arrived, arrival_lines, ended_lines
from stackr.cli.views.failure import cause_lines, failure_json, failure_lines
from stackr.cli.views.gantt import gantt_json, gantt_lines
from stackr.cli.views.logs import LogLines
from stackr.cli.views.output import Output, open_output
from stackr.cli.views.places import Places
from stackr.cli.views.plan import plan_lines, summary_text
from stackr.cli.views.plan_github import plan_annotations
from stackr.cli.views.plan_markdown import plan_markdown
from stackr.cli.views.progress import open_view
from stackr.cli.views.quiet import QuietView
from stackr.cli.views.quietened import QuietenedView
from stackr.cli.views.view import View
from stackr.executor.events import PlanFinished
from stackr.executor.profile import Profile
from stackr.executor.walk import Limits
from stackr.planner.plan.model import Action, Plan
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.stack.address import may_be_cluster
from stackr.stack.context import Context
from stackr.stack.events import (
    EnvironmentFailed,
    EnvironmentReady,
    Foreseen,
    Message,
    OperationsFailed,
    Planned,
    StackEvent,
    Warned,
)

__all__ = ["OnCluster", "Session", "open_session"]

T = TypeVar("T")
_NOWHERE = Places()
_AT_REST = "the engine does not run, and has no containers: compared with nothing"


@dataclass(frozen=True, slots=True)
class OnCluster(Generic[T]):
    """What a command does for a project on an engine that runs replicas itself.

    observes: it looks at the whole project, before all else.
    """

    project: str
    work: Callable[[Workloads], Awaitable[T]]
    observes: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One invocation: results go to `out`, reports to `err`, a plan's events to `view`.

    profile: is told of every event as well.
    """

    options: GlobalOptions
    out: Output
    err: Output
    view: View
    profile: Profile | None = None

    @property
    def is_json(self) -> bool:
        return _progress(self.options) == "json"

    @property
    def is_dry_run(self) -> bool:
        return self.options.dry_run

    def would(self, text: str) -> None:
        """Say what a dry run leaves undone: `copy a to b`."""
        self.out.line(f"would {text}")

    def quieter(self, *, pulls: bool = False, builds: bool = False) -> Session:
        """The same, that does not show how far pulls, or builds, are."""
        quiet = frozenset(
            action
            for action, is_quiet in ((Action.PULL_IMAGE, pulls), (Action.BUILD_IMAGE, builds))
            if is_quiet
        )
        return replace(self, view=QuietenedView(self.view, quiet)) if quiet else self

    def silent(self) -> Session:
        """The same, whose view tells nothing."""
        return replace(self, view=QuietView(self.err))

    def with_profile(self) -> Session:
        """The same, that measures where the time goes from now on."""
        return replace(self, profile=Profile())

    def context(self, project: Project | None = None) -> Context:
        """For work whose events are shown here. project: whose files failures are placed in."""
        return Context(
            self.options.engine,
            self.show,
            limits=_limits(self.options),
            is_dry_run=self.is_dry_run,
            project=project,
        )

    def log_lines(self, *, prefix: bool = True) -> LogLines:
        """Containers' lines, shown beside what the view draws."""
        out, err = self.view.log_output(self.out), self.view.log_output(self.err)
        return LogLines(out, err, prefix=prefix)

    def prepared(self, make: Callable[[], T]) -> Callable[[], T]:
        """What `make` gives, made once: now, so that mistakes are told before an engine is started;
        or when it is asked for, if only the engine can say whether it takes containers at all.
        """
        made = cache(make)
        if not may_be_cluster(self.options.engine):
            made()
        return made

    def on_engine(
        self,
        work: Callable[[Runtime], Awaitable[T]],
        *,
        cluster: OnCluster[T] | None = None,
        read_only: bool = False,
    ) -> T:
        """Run `work` with the engine that `--engine` names, in an event loop of its own.

        cluster: what is done instead where that engine runs replicas itself. read_only: calls that
        change anything are refused before they are sent.

        Ctrl-C and SIGTERM cancel it; KeyboardInterrupt is raised then.
        """
        return run_interruptible(self.working(work, cluster, read_only))

    def look(
        self, work: Callable[[Runtime], Awaitable[T]], *, cluster: OnCluster[T] | None = None
    ) -> T:
        """As `on_engine`, for work that only looks: an engine that does not run is not started.

        Raises Unavailable for one.
        """
        return run_interruptible(self.working(work, cluster, read_only=True, start=False))

    async def working(
        self,
        work: Callable[[Runtime], Awaitable[T]],
        cluster: OnCluster[T] | None,
        read_only: bool = False,
        start: bool = True,
    ) -> T:
        """As `on_engine`, in the event loop of whoever minds Ctrl-C itself."""
        if cluster is None:
            async with self.engine(read_only=read_only, start=start) as runtime:
                return await work(runtime)
        opened = self.context().open_either(
            cluster.project, observed=cluster.observes, read_only=read_only, start=start
        )
        async with opened as engine:
            if isinstance(engine, Workloads):
                return await cluster.work(engine)
            self._say_at_rest(engine)
            return await work(engine)

    @contextlib.asynccontextmanager
    async def engine(
        self, *, read_only: bool = False, start: bool = True
    ) -> AsyncIterator[Runtime]:
        """The engine, open; in a dry run it is read-only in any case."""
        async with self.context().open(read_only=read_only, start=start) as runtime:
            self._say_at_rest(runtime)
            yield runtime

    def _say_at_rest(self, runtime: Runtime) -> None:
        """That the engine does not run, on stderr: stdout may be for a program."""
        if runtime.capabilities.at_rest and self.options.progress != "quiet":
            self.err.line(_AT_REST)

    def show(self, event: StackEvent, /) -> None:
        """What happens, on the view; a report, as the layers below take it."""
        match event:
            case Message(text):
                self.view.message(text)
            case Warned(text):
                self.view.warning(text)
            case Planned(plan):
                if plan.is_empty:
                    self.view.message(summary_text(plan))
            case Foreseen(plan):
                self.show_plan(plan, "json" if self.is_json else "text")
            case OperationsFailed():
                self._show_failure(event)
            case EnvironmentReady() | EnvironmentFailed():
                return  # what they look like depends on the command
            case _:
                if self.profile is not None:
                    self.profile(event)
                self.view(event)
                if isinstance(event, PlanFinished):
                    self.view.close()

    def _show_failure(self, failed: OperationsFailed) -> None:
        report = failed.report
        for cause in report.warnings:
            self.view.warning(" ".join(line.strip() for line in cause_lines(cause, self.err)))
        if report.is_success:
            return
        if self.is_json:
            self.out.line(json.dumps(failure_json(report)))
        for line in failure_lines(report, self.err, advice=failed.advice):
            self.err.line(line)

    def show_arrival(self, arrived: Arrived, took_s: float) -> None:
        """That the stack is up, where it answers, and what has ended right away."""
        if self.is_json:
            return
        for ended in arrived.ended:
            first, *rest = ended_lines(ended, self.err)
            self.view.warning("\n".join([first, *rest]))
        for line in arrival_lines(arrived, took_s, self.err):
            self.view.message(line)

    def show_profile(self) -> None:
        """Tell where the time went so far; nothing where that was not asked for."""
        if self.profile is None:
            return
        if self.is_json:
            self.out.line(json.dumps(gantt_json(self.profile)))
        else:
            for line in gantt_lines(self.profile, self.err):
                self.view.message(line)

    def show_plan(
        self,
        plan: Plan,
        form: str = "text",
        *,
        detail: bool = False,
        places: Places = _NOWHERE,
    ) -> None:
        """Print a plan. form: text, json, markdown or github; places: of the last two."""
        if form in ("text", "github"):
            for warning in plan.warnings:
                self.view.warning(warning)
        match form:
            case "json":
                self.out.line(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
            case "markdown":
                self.out.line(plan_markdown(plan, places).rstrip("\n"))
            case "github":
                for line in plan_annotations(plan, places):
                    self.out.line(line)
            case _:
                for line in plan_lines(plan, self.out, detail=detail):
                    self.out.line(line)


def _limits(options: GlobalOptions) -> Limits | None:
    calls = parse_parallel(options.parallel)
    return None if calls is None else Limits(in_flight=calls, pulls=calls)


def _progress(options: GlobalOptions) -> str | None:
    return "json" if options.json else options.progress


@contextlib.contextmanager
def open_session(options: GlobalOptions) -> Iterator[Session]:
    """The session of these options; its view is closed at the end.

    Raises InvalidArgument for an unknown `--progress`, `--ansi` or `--parallel`.
    """
    parse_parallel(options.parallel)
    ansi = "never" if options.no_color else options.ansi
    out, err = (open_output(stream, ansi=ansi) for stream in (sys.stdout, sys.stderr))
    view = open_view(_progress(options), out, err)
    try:
        yield Session(options, out, err, view)
    finally:
        view.close()
