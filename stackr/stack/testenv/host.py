"""A test environment on an engine of containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackr.errors import StackrError
from stackr.executor.apply import apply
from stackr.executor.events import EventSink
from stackr.executor.outcome import Outcome
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState, EngineEvent
from stackr.spec.model.project import Project
from stackr.stack.context import Context
from stackr.stack.planning import desire, plan_pulls, plan_up
from stackr.stack.testenv.blueprint import Blueprint
from stackr.stack.testenv.dossier import versions
from stackr.stack.testenv.evidence import containers_of, output_since, state_of, suspects_of
from stackr.stack.testenv.findings import Spoken, Suspect, has_failed
from stackr.stack.testenv.handover import member_of
from stackr.stack.testenv.holding import Holding
from stackr.stack.testenv.logs import LogCapture
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.testenv.site import Logs, Standing
from stackr.stack.testenv.timeline import Moment, Timeline, follow_events

__all__ = ["HostSite"]

_SUBSCRIBE_S = 10.0


class HostSite:
    """See `site.Site`."""

    def __init__(self, context: Context, runtime: Runtime, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.evidence = HostEvidence(runtime, blueprint.name)
        self._context = context
        self._runtime = runtime
        self._holding = Holding(context, runtime, blueprint)
        self._listener: asyncio.Task[None] | None = None

    @property
    def is_limited(self) -> bool:
        return self._holding.lease is not None

    async def hold(self) -> None:
        """The stack is read again with its host ports, which it may use."""
        lease = await self._holding.take()
        if lease is not None and lease.ports:
            self.blueprint = self.blueprint.with_ports(lease)

    async def listen(self, timeline: Timeline, logs: Logs | None) -> None:
        def happened(event: EngineEvent) -> None:
            timeline.engine_event(event)
            if isinstance(logs, LogCapture):
                logs.engine_event(event)

        stands = asyncio.Event()
        self._listener = asyncio.ensure_future(
            follow_events(self._runtime, self.blueprint.name, happened, stands.set)
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(_SUBSCRIBE_S):
                await stands.wait()

    def open_logs(self, folder: Path, redactor: Redactor) -> LogCapture:
        return LogCapture(self._runtime, folder, redactor)

    async def plan(self, sink: EventSink) -> Plan:
        ports = self.blueprint.host_ports(self._holding.lease)
        options = replace(self.blueprint.up_options, host_ports=ports)
        wanted = desire(
            self.blueprint.instance.project,
            options,
            engine=self._context.engine,
            all_resources=self.blueprint.source.options.all_resources,
        )
        bases, rest = await plan_pulls(self._runtime, wanted, options)
        if not bases.is_empty:
            await self._carry_out(bases, sink)
            _, rest = await plan_pulls(self._runtime, wanted, options)
        if not rest.is_empty:
            await self._carry_out(rest, sink)
        return await plan_up(self._runtime, wanted, options)

    async def _carry_out(self, plan: Plan, sink: EventSink) -> None:
        outcome = await apply(plan, self._runtime, sink)
        if outcome.failed:
            raise outcome.failed[0].error

    async def apply(self, outcome: Outcome, sink: EventSink) -> None:
        await apply(outcome.plan, self._runtime, sink, outcome=outcome)

    async def standing(self) -> Standing:
        containers = await containers_of(self._runtime, self.blueprint.name)
        scheme_of, engine = self.blueprint.scheme_of, self.blueprint.engine
        return Standing(
            tuple(member_of(container, scheme_of, engine) for container in containers),
            any(has_failed(container) for container in containers),
        )

    async def deafen(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def keep(self) -> None:
        await self._holding.keep()

    async def remove(self) -> None:
        await self._holding.remove()


class HostEvidence:
    """See `site.Evidence`."""

    def __init__(self, runtime: Runtime, project: str) -> None:
        self._runtime = runtime
        self._project = project
        self._containers: tuple[ContainerState, ...] = ()

    async def look(self, timeline: Timeline) -> str:
        try:
            self._containers = await containers_of(self._runtime, self._project)
        except StackrError as error:
            return error.message
        return ""

    async def suspects(
        self, project: Project, outcome: Outcome | None, timeline: Sequence[Moment]
    ) -> tuple[Suspect, ...]:
        return await suspects_of(project, self._containers, outcome, timeline, self._runtime)

    async def output_since(self, since: float) -> tuple[Spoken, ...]:
        return await output_since(self._runtime, self._containers, since)

    async def state(self) -> dict[str, Any]:
        return await state_of(self._runtime, self._project)

    async def versions(self) -> dict[str, Any]:
        return await versions(self._runtime)
