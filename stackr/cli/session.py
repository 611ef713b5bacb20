"""What the commands that talk to an engine share: outputs, view, engine, plans run on it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from stackr.cli.arguments import parse_parallel
from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import GlobalOptions
from stackr.cli.views.output import Output, open_output
from stackr.cli.views.view import View, open_view

if TYPE_CHECKING:
    from stackr.executor.apply import Limits
    from stackr.executor.events import Event
    from stackr.executor.operations import BeforeStart
    from stackr.executor.outcome import Outcome
    from stackr.executor.profile import Profile
    from stackr.planner.plan import Plan
    from stackr.runtime.protocol import Runtime
    from stackr.spec.model.project import Project

__all__ = ["Session", "open_session"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """One invocation: results go to `out`, reports to `err`, a plan's events to `view`.

    profile: is told of every event as well. project: whose operations are carried out, where it is
    known; a failure is told with the place in its files then. before_start: is told
    of each container before it starts.
    """

    options: GlobalOptions
    out: Output
    err: Output
    view: View
    profile: Profile | None = None
    project: Project | None = None
    before_start: BeforeStart | None = None

    @property
    def is_json(self) -> bool:
        return _progress(self.options) == "json"

    @property
    def is_dry_run(self) -> bool:
        return self.options.dry_run

    def would(self, text: str) -> None:
        """Say what a dry run leaves undone: `copy a to b`."""
        self.out.line(f"would {text}")

    def without_pull_progress(self) -> Session:
        """The same, that does not show how far pulls are."""
        from stackr.cli.views.quiet_pull import QuietPullView

        return replace(self, view=QuietPullView(self.view))

    def with_profile(self) -> Session:
        """The same, that measures where the time goes from now on."""
        from stackr.executor.profile import Profile

        return replace(self, profile=Profile())

    def on_engine(self, work: Callable[[Runtime], Awaitable[T]], *, read_only: bool = False) -> T:
        """Run `work` with the engine that `--engine` names, in an event loop of its own.

        read_only: calls that change anything are refused before they are sent.

        Ctrl-C and SIGTERM cancel it; KeyboardInterrupt is raised then.
        """
        return run_interruptible(self._on_engine(work, read_only))

    async def _on_engine(self, work: Callable[[Runtime], Awaitable[T]], read_only: bool) -> T:
        async with self.engine(read_only=read_only) as runtime:
            return await work(runtime)

    @contextlib.asynccontextmanager
    async def engine(self, *, read_only: bool = False) -> AsyncIterator[Runtime]:
        """The engine, open; in a dry run it is read-only in any case."""
        from stackr.runtime.connect import connect

        read_only = read_only or self.is_dry_run
        async with await connect(self.options.engine, read_only=read_only) as runtime:
            yield runtime

    @contextlib.asynccontextmanager
    async def locked(self, runtime: Runtime, project: str) -> AsyncIterator[None]:
        """Nobody else changes the project meanwhile; says so where it has to wait.

        A dry run, which changes nothing, does not wait for those that do.
        """
        if self.is_dry_run:
            yield
            return
        from stackr.cli.lock import project_lock

        async with project_lock(runtime, project, waiting=self.view.message):
            yield

    async def run_plan(self, plan: Plan, runtime: Runtime, *, advice: str | None = None) -> int:
        """Carry out `plan` and show it; the exit code, with every failure reported.

        advice: how to go on after a failure; None for the usual, "" for none.
        A dry run prints the plan, and that is all. When cancelled, what was done is reported
        before CancelledError goes on.
        """
        from stackr.executor.outcome import Outcome

        if self.is_dry_run:
            self.show_plan(plan, "json" if self.is_json else "text")
            return 0
        outcome = Outcome(plan)
        await self.apply_plan(outcome, runtime)
        return await self.report(outcome, runtime, advice)

    async def apply_plan(self, outcome: Outcome, runtime: Runtime) -> None:
        """Carry out the plan of `outcome`, which is told what became of each operation."""
        for warning in outcome.plan.warnings:
            self.view.warning(warning)
        if outcome.plan.is_empty:
            return
        from stackr.executor.apply import apply

        try:
            await apply(
                outcome.plan,
                runtime,
                self._sink,
                limits=self._limits(),
                outcome=outcome,
                before_start=self.before_start,
            )
        finally:
            self.view.close()

    def _sink(self, event: Event, /) -> None:
        if self.profile is not None:
            self.profile(event)
        self.view(event)

    def show_profile(self) -> None:
        """Tell where the time went so far; nothing where that was not asked for."""
        if self.profile is None:
            return
        from stackr.cli.views.gantt import gantt_json, gantt_lines

        if self.is_json:
            import json

            self.out.line(json.dumps(gantt_json(self.profile)))
        else:
            for line in gantt_lines(self.profile, self.err):
                self.view.message(line)

    def _limits(self) -> Limits | None:
        from stackr.executor.apply import Limits

        calls = parse_parallel(self.options.parallel)
        return None if calls is None else Limits(in_flight=calls, pulls=calls)

    def show_plan(self, plan: Plan, form: str = "text", *, detail: bool = False) -> None:
        """Print a plan as a result. form: text, json, markdown or github."""
        if form in ("text", "github"):
            for warning in plan.warnings:
                self.view.warning(warning)
        match form:
            case "json":
                import json

                self.out.line(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
            case "markdown":
                from stackr.cli.views.plan_markdown import plan_markdown

                self.out.line(plan_markdown(plan).rstrip("\n"))
            case "github":
                from stackr.cli.views.plan_github import plan_annotations

                for line in plan_annotations(plan):
                    self.out.line(line)
            case _:
                from stackr.cli.views.plan import plan_lines

                for line in plan_lines(plan, self.out, detail=detail):
                    self.out.line(line)

    async def report(self, outcome: Outcome, runtime: Runtime, advice: str | None) -> int:
        """Tell every failure; the exit code. advice: as for `run_plan`."""
        if not outcome.failed:
            return 0
        from stackr.cli.failure import failure_report
        from stackr.cli.views.failure import cause_lines, failure_json, failure_lines

        report = await failure_report(outcome, runtime, self.project)
        for cause in report.warnings:
            self.view.warning(" ".join(line.strip() for line in cause_lines(cause, self.err)))
        if outcome.is_success:
            return 0
        if self.is_json:
            import json

            self.out.line(json.dumps(failure_json(report)))
        for line in failure_lines(report, self.err, advice=advice):
            self.err.line(line)
        return report.exit_code


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
