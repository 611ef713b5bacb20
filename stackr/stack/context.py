"""How work on a stack is done: on which engine, who is told, how many calls at once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from stackr.executor.apply import apply
from stackr.executor.documents import DocumentCalls
from stackr.executor.events import Event
from stackr.executor.operations import BeforeStart
from stackr.executor.outcome import Outcome
from stackr.executor.walk import Limits, walk
from stackr.planner.plan.model import Plan
from stackr.runtime.connect import connect, connect_either
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.stack.address import is_of_this_machine
from stackr.stack.events import Foreseen, Message, OperationsFailed, Report, Warned, ignore
from stackr.stack.failure import FailureReport, failure_report
from stackr.stack.file_lock import file_lock
from stackr.stack.lock import project_lock
from stackr.stack.workloads.failure import cluster_failure_report

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """What all that is done to a stack shares.

    engine: its name or address; None for STACKR_ENGINE, else the embedded one. is_dry_run: nothing
    is changed, and what would be is reported as `Foreseen`. project: whose operations are carried
    out, where it is known; a failure is told with the place in its files then. before_start: is
    told of each container before it starts.
    """

    engine: str | None = None
    report: Report = ignore
    limits: Limits | None = None
    is_dry_run: bool = False
    project: Project | None = None
    before_start: BeforeStart | None = None

    def message(self, text: str) -> None:
        self.report(Message(text))

    def warning(self, text: str) -> None:
        self.report(Warned(text))

    @contextlib.asynccontextmanager
    async def open(self, *, read_only: bool = False, start: bool = True) -> AsyncIterator[Runtime]:
        """The engine, open; in a dry run it is read-only in any case.

        start: stackr's own, where it does not run.
        """
        read_only = read_only or self.is_dry_run
        async with await connect(self.engine, read_only=read_only, start=start) as runtime:
            yield runtime

    @contextlib.asynccontextmanager
    async def open_either(
        self, project: str, *, observed: bool = False, read_only: bool = False, start: bool = True
    ) -> AsyncIterator[Runtime | Workloads]:
        """As `open`, of an engine of containers or one that runs replicas itself.

        observed: the project is looked at next. Raises Conflict where nobody can say which of them
        it is on.
        """
        read_only = read_only or self.is_dry_run
        async with await connect_either(
            self.engine, project=project, observed=observed, read_only=read_only, start=start
        ) as engine:
            yield engine

    @contextlib.asynccontextmanager
    async def locked(self, runtime: Runtime, project: str) -> AsyncIterator[None]:
        """Nobody else changes the project meanwhile; says so where it has to wait.

        A dry run, which changes nothing, does not wait for those that do.
        """
        if self.is_dry_run:
            yield
            return
        async with project_lock(runtime, project, waiting=self.message):
            yield

    @contextlib.asynccontextmanager
    async def locked_cluster(self, cluster: Workloads, project: str) -> AsyncIterator[None]:
        """As `locked`, among the commands of this host.

        What those of other hosts change meanwhile shows by the documents' versions.
        """
        if self.is_dry_run:
            yield
            return
        async with file_lock(await cluster.identity(), project, waiting=self.message):
            yield

    async def run_plan(self, plan: Plan, runtime: Runtime, *, advice: str | None = None) -> int:
        """Carry out `plan`; the exit code, with every failure reported.

        advice: how to go on after a failure; None for the usual, "" for none.
        A dry run reports the plan, and that is all. When cancelled, what was done is reported
        before CancelledError goes on.
        """
        if self.foresees(plan):
            return 0
        outcome = Outcome(plan)
        await self.apply_plan(outcome, runtime)
        return await self.tell_failures(outcome, runtime, advice)

    async def apply_plan(self, outcome: Outcome, runtime: Runtime) -> None:
        """Carry out the plan of `outcome`, which is told what became of each operation."""
        for warning in outcome.plan.warnings:
            self.warning(warning)
        if outcome.plan.is_empty:
            return
        await apply(
            outcome.plan,
            runtime,
            self._sink,
            limits=self.limits,
            outcome=outcome,
            before_start=self.before_start,
        )

    async def apply_documents(self, outcome: Outcome, cluster: Workloads) -> None:
        """As `apply_plan`, of documents."""
        for warning in outcome.plan.warnings:
            self.warning(warning)
        if not outcome.plan.is_empty:
            calls = DocumentCalls(cluster, outcome.plan.project)
            await walk(outcome.plan, calls, self._sink, limits=self.limits, outcome=outcome)

    def foresees(self, plan: Plan) -> bool:
        """Whether this is a dry run, in which the plan is told, and that is all."""
        if self.is_dry_run:
            self.report(Foreseen(plan))
        return self.is_dry_run

    def _sink(self, event: Event, /) -> None:
        self.report(event)

    async def tell_failures(self, outcome: Outcome, runtime: Runtime, advice: str | None) -> int:
        """Report every failure; the exit code. advice: as for `run_plan`."""
        if not outcome.failed:
            return 0
        is_here = is_of_this_machine(self.engine)
        report = await failure_report(outcome, runtime, self.project, is_here=is_here)
        return self._told(report, advice)

    async def tell_cluster_failures(
        self, outcome: Outcome, cluster: Workloads, advice: str | None
    ) -> int:
        """As `tell_failures`, of documents."""
        if not outcome.failed:
            return 0
        return self._told(await cluster_failure_report(outcome, cluster), advice)

    def _told(self, report: FailureReport, advice: str | None) -> int:
        self.report(OperationsFailed(report, advice))
        return 0 if report.is_success else report.exit_code
