"""`stackr test`: bring an isolated copy of a stack up, run a command beside it, take it away.

Whatever happens, the environment goes: at the end, at a failure, at a signal; and where this
process is killed, the engine sees to it, as the environment is a lease of this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from stackr.cli.interrupts import Interrupts
from stackr.cli.testenv.blueprint import Blueprint, engine_host
from stackr.cli.testenv.command import HostCommand
from stackr.cli.testenv.evidence import containers_of, is_final_wait
from stackr.cli.testenv.findings import CommandResult
from stackr.cli.testenv.redaction import redactor_of
from stackr.cli.testenv.removal import raw, remove_environment
from stackr.cli.testenv.report import Report
from stackr.cli.testenv.timeline import Timeline, follow_events
from stackr.cli.testenv.variables import (
    Address,
    Member,
    dotenv,
    reached_from,
    services_json,
    variables,
)
from stackr.errors import InvalidArgument, NotFound, NotSupported, StackrError, Unavailable
from stackr.executor.events import Event, OperationFailed, OperationFinished
from stackr.runtime import labels
from stackr.runtime.leases import (
    Lease,
    LeaseRequest,
    create_lease,
    disown_lease,
    release_lease,
    renew_lease,
)
from stackr.runtime.types import ContainerState, EngineEvent

if TYPE_CHECKING:
    from stackr.cli.session import Session
    from stackr.runtime.protocol import Runtime

__all__ = ["run_test"]

T = TypeVar("T")
_NOT_READY = 125
_CANNOT_RUN = 126
_NO_COMMAND = 127
_TIMED_OUT = 124
_INTERRUPTED = 130
_GRACE_S = 10.0
_SUBSCRIBE_S = 10.0


class _Interrupted(Exception):
    """A signal asks for an end."""


async def run_test(session: Session, blueprint: Blueprint) -> int:
    """The exit code of the whole; every failure is reported."""
    interrupts = Interrupts()
    with interrupts.caught(signal.SIGHUP):
        async with session.engine() as runtime:
            return await _Run(session, runtime, blueprint, interrupts).complete()


class _Run:
    """One environment, from nothing to nothing."""

    def __init__(
        self, session: Session, runtime: Runtime, blueprint: Blueprint, interrupts: Interrupts
    ) -> None:
        self._session = session
        self._runtime = runtime
        self._blueprint = blueprint
        self._arguments = blueprint.arguments
        self._interrupts = interrupts
        self._lease: Lease | None = None
        self._listener: asyncio.Task[None] | None = None
        self._is_ready = False
        self._report = Report(
            session,
            blueprint.arguments,
            blueprint.stack,
            blueprint.instance.project,
            redactor_of(blueprint.instance.project),
            Timeline(blueprint.name),
        )

    async def complete(self) -> int:
        code = 1
        try:
            code = await self._live()
        except _Interrupted:
            code = _INTERRUPTED
            await self._forget_logs()
        finally:
            code = await self._leave(code)
        return code

    async def _live(self) -> int:
        """Up to the end of the command; what failed is told while the environment is there."""
        try:
            headline = await self._unless_interrupted(self._bring_up())
        except StackrError as error:
            headline = f"could not be brought up: {error.message}"
            if error.hint:
                headline += f" ({error.hint})"
        if headline:
            await self._report.failed(self._runtime, headline, None)
            return _NOT_READY
        self._is_ready = True
        members = await self._unless_interrupted(self._members())
        self._hand_over(members)
        if not self._arguments.command:
            await self._report.succeeded(None)
            return 0
        code, result = await self._run_command()
        if result.failure:
            if code == _INTERRUPTED:
                raise _Interrupted
            await self._report.failed(self._runtime, f"the command {result.failure}", result)
        else:
            await self._report.succeeded(result)
        return code

    # --- up ------------------------------------------------------------------------------------

    async def _bring_up(self) -> str:
        """Why the environment is not ready; "" if it is."""
        from stackr.executor.apply import Outcome, apply

        await self._take_lease()
        self._tell_notes()
        await self._listen()
        session, report = self._session, self._report
        plan = report.plan = await self._plan()
        for warning in plan.warnings:
            session.view.warning(warning)
        outcome = report.outcome = Outcome(plan)
        try:
            await apply(plan, self._runtime, self._note, outcome=outcome)
        finally:
            session.view.close()
        if outcome.is_success:
            took_s = report.timeline.elapsed_s
            report.timeline.add("the environment is ready")
            session.view.message(f"{self._blueprint.name}: ready in {took_s:.1f} s")
            return ""
        services = {f.operation.resource.service for f in outcome.failed} - {""}
        which = ", ".join(sorted(services)) or "it"
        return f"not ready after {report.timeline.elapsed_s:.1f} s: {which} failed"

    async def _take_lease(self) -> None:
        """An engine without leases is used all the same, and said to be so once."""
        request = LeaseRequest(
            project=self._blueprint.name,
            stack=self._blueprint.stack,
            ttl_s=self._arguments.ttl_s,
            volumes=True,
            stop_timeout_s=self._arguments.stop_timeout_s,
            watch_owner=self._is_watched,
            ports=self._blueprint.wishes,
        )
        try:
            self._lease = await create_lease(raw(self._runtime), request)
        except NotSupported:
            self._session.view.warning(
                "this engine has no leases: if stackr itself is killed (SIGKILL), the environment "
                f"stays, until stackr down -v -p {self._blueprint.name}"
            )
            return
        except InvalidArgument as error:
            if not request.watch_owner or "cannot be watched" not in error.message:
                raise
            self._lease = await create_lease(
                raw(self._runtime), replace(request, watch_owner=False)
            )
        if self._lease.ports:
            self._blueprint = self._blueprint.with_ports(self._lease)
            self._report.project = self._blueprint.instance.project

    @property
    def _is_watched(self) -> bool:
        """Over ssh or TCP, it is not this process that the engine sees."""
        engine = self._session.options.engine or os.environ.get("STACKR_ENGINE") or "embedded"
        return "://" not in engine or engine.startswith("unix:")

    def _tell_notes(self) -> None:
        for note in self._blueprint.instance.notes:
            self._session.view.message(f"note: {note}")

    async def _listen(self) -> None:
        """Follow events, and logs where they are to be kept, before anything starts."""
        stands = asyncio.Event()
        folder = self._arguments.artifacts
        if folder is not None:
            from stackr.cli.testenv.logs import LogCapture

            try:
                self._report.logs = LogCapture(
                    self._runtime, folder / "logs", self._report.redactor
                )
            except OSError as error:
                self._session.view.warning(f"logs are not kept: {folder}: {error.strerror}")
        self._listener = asyncio.ensure_future(
            follow_events(self._runtime, self._blueprint.name, self._engine_event, stands.set)
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(_SUBSCRIBE_S):
                await stands.wait()

    def _engine_event(self, event: EngineEvent) -> None:
        self._report.timeline.engine_event(event)
        if self._report.logs is not None:
            self._report.logs.engine_event(event)

    def _note(self, event: Event) -> None:
        """A sink of the plan's events."""
        self._session.view(event)
        self._report.timeline(event)
        if isinstance(event, OperationFinished | OperationFailed) and is_final_wait(
            event.operation
        ):
            service = event.operation.resource.service
            waits = self._report.waits_s
            waits[service] = max(event.at_s, waits.get(service, 0.0))

    async def _plan(self) -> Any:
        from stackr.cli.planning import desire, plan_up
        from stackr.executor.apply import apply
        from stackr.planner.observed import Observed
        from stackr.planner.options import UpOptions
        from stackr.planner.reconcile import plan_refresh

        arguments = self._arguments
        options = UpOptions(
            services=arguments.services,
            scale=arguments.scale,
            pull=arguments.pull,
            wait=True,
            wait_timeout_s=arguments.wait_timeout_s,
            host_ports=self._blueprint.host_ports(self._lease),
        )
        wanted = desire(self._blueprint.instance.project, options, self._session.options)
        refresh = plan_refresh(wanted, Observed(wanted.project), options)
        if not refresh.is_empty:
            outcome = await apply(refresh, self._runtime, self._note)
            if outcome.failed:
                raise outcome.failed[0].error
        return await plan_up(self._runtime, wanted, options)

    # --- the command ---------------------------------------------------------------------------

    async def _members(self) -> list[Member]:
        containers = await containers_of(self._runtime, self._blueprint.name)
        return [self._member(container) for container in containers]

    def _member(self, container: ContainerState) -> Member:
        service = container.labels.get(labels.SERVICE, "")
        number = container.labels.get(labels.CONTAINER_NUMBER, "")
        host = engine_host(self._session.options)
        return Member(
            service=service,
            number=int(number) if number.isdecimal() else 0,
            name=container.name,
            id=container.id,
            state=container.state,
            health=container.health,
            addresses={e.network: e.ipv4_address or e.ipv6_address for e in container.networks},
            ports=reached_from(
                host,
                (
                    Address(
                        port.container_port,
                        port.host_ip,
                        port.host_port,
                        port.protocol,
                        self._blueprint.scheme_of(service, port.container_port),
                    )
                    for port in container.ports
                    if port.host_port
                ),
            ),
        )

    def _hand_over(self, members: list[Member]) -> None:
        """Tell where everything answers: the command, files, and the reader."""
        found, ambiguous = variables(members)
        for name in ambiguous:
            if not name.endswith(("_HOST", "_PORT", "_URL")):
                self._session.view.warning(f"{name} would name several ports, and is left out")
        services = services_json(members)
        values = {"STACKR_PROJECT": self._blueprint.name, **found, "STACKR_SERVICES": services}
        self._report.environment = values
        view = self._session.view
        for member in members:
            for address in {
                (a.container_port, a.protocol): a for a in reversed(member.ports)
            }.values():
                view.message(f"  {member.service}:{address.container_port}  {address.text}")
        if self._session.is_json:
            told = {"event": "environment", "project": self._blueprint.name, "variables": values}
            self._session.out.line(json.dumps(told))
        self._write_variables(values)

    def _write_variables(self, values: Mapping[str, str]) -> None:
        from stackr.cli.testenv.files import write_whole

        path = self._arguments.ports_file
        if path is not None:
            text = _as_json(values) if path.suffix == ".json" else dotenv(values)
            try:
                write_whole(path, text)
            except OSError as error:
                raise StackrError(f"cannot write {path}: {error.strerror}") from error
        if self._arguments.print_env is not None:
            is_json = self._arguments.print_env == "json"
            self._session.out.stream.write(_as_json(values) if is_json else dotenv(values))
            self._session.out.stream.flush()

    async def _run_command(self) -> tuple[int, CommandResult]:
        """Its exit code as stackr's, and what is to be told of it."""
        argv = self._arguments.command
        self._report.timeline.add(f"command started: {argv[0]}")
        start = time.monotonic()
        environ = {**os.environ, **self._report.environment}
        try:
            with HostCommand.start(argv, environ) as command:
                code, failure = await self._until_end(command)
        except NotFound as error:
            code, failure = _NO_COMMAND, f"cannot be run: {error.message}"
        except StackrError as error:
            code, failure = _CANNOT_RUN, f"cannot be run: {error.message}"
        took_s = time.monotonic() - start
        self._report.timeline.add(f"command {failure or 'succeeded'}", is_bad=bool(failure))
        told = f"{failure} after {took_s:.1f} s" if failure else ""
        return code, CommandResult(argv, took_s, told)

    async def _until_end(self, command: HostCommand) -> tuple[int, str]:
        """Wait for the command, its time and signals; the exit code, and how it failed."""
        ended = asyncio.ensure_future(command.wait())
        limit_s = self._limit_s
        deadline = None if limit_s is None else time.monotonic() + limit_s
        stopped = ""
        try:
            while True:
                arrived = asyncio.ensure_future(self._interrupts.next())
                left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
                waiting: set[asyncio.Future[Any]] = {ended, arrived}
                await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    arrived.cancel()
                    return _verdict(ended.result(), stopped)
                if stopped:  # the grace is over, or a second signal came
                    command.kill()
                    deadline = None
                elif arrived.done():
                    stopped = "was interrupted"
                    number = arrived.result()
                    command.signal(number, from_terminal=number == signal.SIGINT)
                    deadline = time.monotonic() + _GRACE_S
                else:
                    stopped = f"did not end within {limit_s:g} s"
                    command.signal(signal.SIGTERM)
                    deadline = time.monotonic() + _GRACE_S
                arrived.cancel()
        finally:
            ended.cancel()

    @property
    def _limit_s(self) -> float | None:
        """The command's time, or what is left of the environment's."""
        limits = [self._arguments.timeout_s] if self._arguments.timeout_s is not None else []
        if self._arguments.ttl_s is not None and self._lease is not None:
            limits.append(max(self._arguments.ttl_s - self._report.timeline.elapsed_s, 1.0))
        return min(limits, default=None)

    # --- away ----------------------------------------------------------------------------------

    async def _leave(self, code: int) -> int:
        """Remove the environment, or leave it as asked; the exit code."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        wanted = self._arguments.keep or (self._arguments.keep_on_failure and code != 0)
        if wanted and (self._is_ready or code != _INTERRUPTED):
            try:
                await self._keep()
                return code
            except StackrError as error:
                self._session.view.warning(f"it cannot be kept: {error.message}")
        removing = asyncio.ensure_future(self._remove())
        try:
            await self._despite_interrupts(removing)
        except StackrError as error:
            self._session.view.warning(
                f"{self._blueprint.name}: not all is removed: {error.message}"
            )
            return code or 1
        return code

    async def _keep(self) -> None:
        name, arguments = self._blueprint.name, self._arguments
        until = ""
        if self._lease is not None:
            runtime = raw(self._runtime)
            if arguments.is_ttl_given and arguments.ttl_s is not None:
                lease = await renew_lease(runtime, self._lease.id, arguments.ttl_s)
                await disown_lease(runtime, self._lease.id)
                until = f" until {lease.expires}"
            else:
                await release_lease(runtime, self._lease.id)
        engine = self._session.options.engine
        option = f" --engine {engine}" if engine else ""
        self._session.view.message(
            f"{name}: kept{until}; remove it: stackr down -v -p {name}{option}"
        )

    async def _remove(self) -> None:
        start = time.monotonic()
        name, grace_s = self._blueprint.name, self._arguments.stop_timeout_s
        try:
            removed = await remove_environment(
                self._runtime, name, self._lease, stop_timeout_s=grace_s
            )
        except Unavailable:  # the engine was stopped or killed meanwhile: its next start knows
            async with self._session.engine() as runtime:
                removed = await remove_environment(
                    runtime, name, self._lease, stop_timeout_s=grace_s
                )
        took_s = time.monotonic() - start
        what = ", ".join(
            f"{count} {kind}{'' if count == 1 else 's'}"
            for kind, count in (
                ("container", removed.containers),
                ("network", removed.networks),
                ("volume", removed.volumes),
            )
        )
        self._session.view.message(f"{name}: removed in {took_s:.1f} s ({what})")

    async def _despite_interrupts(self, removing: asyncio.Future[None]) -> None:
        """The removal goes on at the first signal; a second one leaves the rest to the engine."""
        name = self._blueprint.name
        for told in (f"{name}: is being removed; press Ctrl+C again not to wait for it", ""):
            arrived = asyncio.ensure_future(self._interrupts.next())
            waiting: set[asyncio.Future[Any]] = {removing, arrived}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            arrived.cancel()
            if removing.done():
                break
            if told:
                self._session.view.message(told)
            else:
                removing.cancel()
        with suppress(asyncio.CancelledError):
            await removing

    async def _forget_logs(self) -> None:
        if self._report.logs is not None:
            await self._report.logs.discard()

    async def _unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; a signal cancels it, and raises _Interrupted."""
        task = asyncio.ensure_future(work)
        arrived = asyncio.ensure_future(self._interrupts.next())
        waiting: set[asyncio.Future[Any]] = {task, arrived}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if task.done():
            return task.result()
        self._session.view.message("Interrupted: taking the environment away...")
        task.cancel()
        with suppress(asyncio.CancelledError, StackrError):
            await task
        raise _Interrupted


def _verdict(code: int, stopped: str) -> tuple[int, str]:
    if stopped:
        return (_INTERRUPTED if stopped == "was interrupted" else _TIMED_OUT), stopped
    return code, f"exited with code {code}" if code else ""


def _as_json(values: Mapping[str, str]) -> str:
    """Variables as JSON; STACKR_SERVICES as what it holds."""
    services = json.loads(values["STACKR_SERVICES"])
    plain = {name: value for name, value in values.items() if name != "STACKR_SERVICES"}
    return json.dumps({**plain, "STACKR_SERVICES": services}, indent=2) + "\n"
