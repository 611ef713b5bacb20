"""`stackr test`: bring an isolated copy of a stack up, run a command beside it, take it away.

Whatever happens, the environment goes: at the end, at a failure, at a signal; and where this
process is killed, the engine sees to it, as the environment is a lease of this process, or, on a
cluster, whoever comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from stackr.errors import StackrError
from stackr.executor.events import Event, OperationFailed, OperationFinished
from stackr.executor.outcome import Outcome
from stackr.runtime.workloads import Workloads
from stackr.stack.context import Context
from stackr.stack.events import EnvironmentReady
from stackr.stack.testenv.blueprint import Blueprint
from stackr.stack.testenv.cluster import ClusterSite
from stackr.stack.testenv.evidence import is_final_wait
from stackr.stack.testenv.handover import environment_of, tell_environment
from stackr.stack.testenv.host import HostSite
from stackr.stack.testenv.redaction import redactor_of
from stackr.stack.testenv.report import Report
from stackr.stack.testenv.site import Site, Standing
from stackr.stack.testenv.supervision import INTERRUPTED, Interrupts, NoInterrupts, run_command
from stackr.stack.testenv.timeline import Timeline

__all__ = ["EnvironmentNotReady", "environment", "run_test"]

T = TypeVar("T")
NOT_READY = 125


class EnvironmentNotReady(StackrError):
    """It could not be brought up, or has not become ready."""

    exit_code = NOT_READY


class _Interrupted(Exception):
    """A signal asks for an end."""


async def run_test(context: Context, blueprint: Blueprint, interrupts: Interrupts) -> int:
    """The exit code of the whole; every failure is reported."""
    async with _site(context, blueprint) as site:
        return await _Run(context, site, interrupts).complete()


@asynccontextmanager
async def environment(context: Context, blueprint: Blueprint) -> AsyncIterator[EnvironmentReady]:
    """The environment, ready; it is taken away at the end of the block, however that ends.

    Raises EnvironmentNotReady, with nothing left of it.
    """
    async with _site(context, blueprint) as site:
        run = _Run(context, site, NoInterrupts())
        code = NOT_READY
        try:
            if failure := await run.failure():
                raise EnvironmentNotReady(f"{blueprint.name}: {failure}")
            code = 1
            yield run.ready
            code = 0
        finally:
            await run.leave(code)


@asynccontextmanager
async def _site(context: Context, blueprint: Blueprint) -> AsyncIterator[Site]:
    """Where it is brought up, with the engine open."""
    async with context.open_either(blueprint.name) as engine:
        if isinstance(engine, Workloads):
            yield ClusterSite(context, engine, blueprint)
        else:
            yield HostSite(context, engine, blueprint)


class _Run:
    """One environment, from nothing to nothing."""

    def __init__(self, context: Context, site: Site, interrupts: Interrupts) -> None:
        self._context = context
        self._site = site
        self._name = site.blueprint.name
        self._arguments = site.blueprint.arguments
        self._interrupts = interrupts
        self._is_ready = False
        self.ready = EnvironmentReady(self._name, (), {})
        project = site.blueprint.instance.project
        self._report = Report(
            context,
            self._arguments,
            site.blueprint.stack,
            project,
            redactor_of(project),
            Timeline(self._name),
        )

    async def complete(self) -> int:
        code = 1
        try:
            code = await self._live()
        except _Interrupted:
            code = INTERRUPTED
            await self._report.forget()
        finally:
            code = await self.leave(code)
        return code

    async def _live(self) -> int:
        """Up to the end of the command; what failed is told while the environment is there."""
        if await self.failure():
            return NOT_READY
        if not self._arguments.command:
            await self._report.succeeded(None)
            return 0
        return await self._command()

    async def failure(self) -> str:
        """Bring it up; "", or why it is not ready, which has been told then."""
        try:
            failure = await self._unless_interrupted(self._bring_up())
        except StackrError as error:
            hint = f" ({error.hint})" if error.hint else ""
            failure = f"could not be brought up: {error.message}{hint}"
        if failure:
            await self._unless_interrupted(self._report.failed(self._site.evidence, failure, None))
            return failure
        self._is_ready = True
        return ""

    # --- up ------------------------------------------------------------------------------------

    async def _bring_up(self) -> str:
        """Why the environment is not ready; "" if it is, and everybody has been told."""
        site, report, context = self._site, self._report, self._context
        await site.hold()
        report.project = site.blueprint.instance.project
        for note in site.blueprint.instance.notes:
            context.message(f"note: {note}")
        report.open_logs(site.open_logs)
        await site.listen(report.timeline, report.logs)
        plan = report.plan = await site.plan(self._note)
        for warning in plan.warnings:
            context.warning(warning)
        outcome = report.outcome = Outcome(plan)
        await site.apply(outcome, self._note)
        standing = await site.standing()
        took_s = report.timeline.elapsed_s
        if not outcome.is_success or standing.has_failed:
            return f"not ready after {took_s:.1f} s"
        report.timeline.add("the environment is ready")
        context.message(f"{self._name}: ready in {took_s:.1f} s")
        self._hand_over(standing)
        return ""

    def _note(self, event: Event) -> None:
        """A sink of the plan's events."""
        self._context.report(event)
        self._report.timeline(event)
        if not isinstance(event, OperationFinished | OperationFailed):
            return
        if is_final_wait(event.operation):
            service, waits = event.operation.resource.service, self._report.waits_s
            waits[service] = max(event.at_s, waits.get(service, 0.0))

    def _hand_over(self, standing: Standing) -> None:
        values, unclear = environment_of(
            self._name, standing.members, artifacts=self._arguments.artifacts
        )
        for name in unclear:
            self._context.warning(f"{name} would mean several ports, and is left out")
        self._report.environment = values
        self.ready = EnvironmentReady(self._name, standing.members, values)
        tell_environment(self._context, self._site.blueprint, self.ready)

    # --- the command ---------------------------------------------------------------------------

    async def _command(self) -> int:
        argv, report = self._arguments.command, self._report
        report.timeline.add(f"command started: {argv[0]}")
        code, result = await run_command(argv, report.environment, self._interrupts, self._limit_s)
        report.timeline.add(f"command {result.failure or 'succeeded'}", is_bad=bool(result.failure))
        if code == INTERRUPTED and result.failure:
            raise _Interrupted
        if result.failure:
            headline = f"the command {result.failure}"
            if result.failure.startswith("exited"):
                headline += f" after {result.took_s:.1f} s"
            await self._unless_interrupted(report.failed(self._site.evidence, headline, result))
        else:
            await report.succeeded(result)
        return code

    @property
    def _limit_s(self) -> float | None:
        """The command's time, or what is left of the environment's."""
        arguments = self._arguments
        limits = [arguments.timeout_s] if arguments.timeout_s is not None else []
        if arguments.ttl_s is not None and self._site.is_limited:
            limits.append(max(arguments.ttl_s - self._report.timeline.elapsed_s, 1.0))
        return min(limits, default=None)

    # --- away ----------------------------------------------------------------------------------

    async def leave(self, code: int) -> int:
        """Remove the environment, or leave it as asked; the exit code."""
        await self._site.deafen()
        name, context = self._name, self._context
        is_wanted = self._arguments.keep or (self._arguments.keep_on_failure and code != 0)
        if is_wanted and (self._is_ready or code != INTERRUPTED):
            try:
                await self._site.keep()
                return code
            except StackrError as error:
                context.warning(f"{name}: cannot be kept: {error.message}")
        removing = asyncio.ensure_future(self._site.remove())
        try:
            await self._despite_interrupts(removing)
        except StackrError as error:
            context.warning(f"{name}: not all is removed: {error.message}")
            return code or 1
        return code

    async def _despite_interrupts(self, removing: asyncio.Future[None]) -> None:
        """The removal goes on at the first signal; the second leaves the rest to the engine."""
        name = self._name
        for told in (f"{name}: is being removed; press Ctrl+C again not to wait for it", ""):
            arrived = asyncio.ensure_future(self._interrupts.next())
            waiting: set[asyncio.Future[Any]] = {removing, arrived}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            arrived.cancel()
            if removing.done():
                break
            if told:
                self._context.message(told)
            else:
                removing.cancel()
        with suppress(asyncio.CancelledError):
            await removing

    async def _unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; a signal cancels it, and raises _Interrupted."""
        task = asyncio.ensure_future(work)
        arrived = asyncio.ensure_future(self._interrupts.next())
        waiting: set[asyncio.Future[Any]] = {task, arrived}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if task.done():
            return task.result()
        self._context.message("Interrupted: removing the environment...")
        task.cancel()
        with suppress(asyncio.CancelledError, StackrError):
            await task
        raise _Interrupted
