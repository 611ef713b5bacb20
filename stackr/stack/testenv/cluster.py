"""A test environment on an engine that runs replicas itself.

Until when it is to be there is kept by the cluster before anything of it is made, is put off again
and again as long as this process is there, and goes last: where this process is killed, whoever
comes next takes the environment away.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from stackr.errors import StackrError
from stackr.executor.convergence import failed_tasks, judge
from stackr.executor.documents import DocumentCalls
from stackr.executor.events import EventSink
from stackr.executor.outcome import Outcome
from stackr.executor.walk import walk
from stackr.planner.plan.model import Plan
from stackr.runtime.workloads import Expiry, Workloads
from stackr.stack.context import Context
from stackr.stack.testenv.blueprint import Blueprint
from stackr.stack.testenv.cluster_evidence import ClusterEvidence
from stackr.stack.testenv.cluster_logs import ClusterLogs
from stackr.stack.testenv.redaction import Redactor
from stackr.stack.testenv.site import Logs, Standing
from stackr.stack.testenv.timeline import Timeline
from stackr.stack.workloads.converge import check_options
from stackr.stack.workloads.expiry import clear_expired, moment
from stackr.stack.workloads.members import members_of
from stackr.stack.workloads.planning import look, plan_documents, rendered
from stackr.stack.workloads.removal import RemovedDocuments, remove_stack

__all__ = ["ClusterSite"]

_UNSEEN_S = 300.0
"""For how long it stays where this process is gone; a cluster that is out of reach counts so, too.
"""
_BEAT_S = 60.0
_STAYS_S = 2.0


class ClusterSite:
    """See `site.Site`. Raises InvalidProject for what the cluster cannot do."""

    is_limited = True

    def __init__(self, context: Context, cluster: Workloads, blueprint: Blueprint) -> None:
        self.blueprint = blueprint.on_nodes()
        self.evidence = ClusterEvidence(cluster, blueprint.name)
        self._context = context
        self._cluster = cluster
        self._name = blueprint.name
        self._arguments = blueprint.arguments
        self._begun_at = time.time()
        self._beats: asyncio.Task[None] | None = None
        self._options = blueprint.up_options
        check_options(self._options)
        project = self.blueprint.instance.project
        self._wanted = rendered(project, self._options, cluster.dialect, cluster.capabilities)

    # --- up ------------------------------------------------------------------------------------

    async def hold(self) -> None:
        await clear_expired(self._context, self._cluster)
        self._begun_at = time.time()
        await self._put_off()
        self._beats = asyncio.ensure_future(self._put_off_again())

    async def _put_off(self) -> None:
        """Up to the end of the environment's own time."""
        at = time.time() + _UNSEEN_S
        if self._arguments.ttl_s is not None:
            at = min(at, self._begun_at + self._arguments.ttl_s)
        await self._cluster.set_expiry(Expiry(self._name, at, with_volumes=True))

    async def _put_off_again(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            with suppress(StackrError):  # another time will do
                await self._put_off()

    async def listen(self, timeline: Timeline, logs: Logs | None) -> None:
        """A cluster's tasks have no events: their states are looked at, at the end."""

    def open_logs(self, folder: Path, redactor: Redactor) -> ClusterLogs:
        return ClusterLogs(self._cluster, self._name, folder, redactor)

    async def plan(self, sink: EventSink) -> Plan:
        seen = await look(self._cluster, self._wanted, self._options)
        return plan_documents(self._cluster, seen, self._options)

    async def apply(self, outcome: Outcome, sink: EventSink) -> None:
        calls = DocumentCalls(self._cluster, self._name)
        await walk(outcome.plan, calls, sink, outcome=outcome)

    async def standing(self) -> Standing:
        """What was up and is not any more has failed, whatever the cluster puts in its place.

        Of what came up at a second try, it has to be seen whether it stays.
        """
        scheme_of = self.blueprint.scheme_of
        found = await self._cluster.status(self._name)
        if any(failed_tasks(status) for status in found):
            await asyncio.sleep(_STAYS_S)
            found = await self._cluster.status(self._name)
        members = await members_of(self._cluster, self._name, scheme_of=scheme_of)
        return Standing(tuple(members), not all(judge(status).ready for status in found))

    # --- away ----------------------------------------------------------------------------------

    async def deafen(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)

    async def keep(self) -> None:
        name, ttl_s, until = self._name, self._arguments.ttl_s, ""
        if self._arguments.is_ttl_given and ttl_s is not None:
            at = time.time() + ttl_s
            await self._cluster.set_expiry(Expiry(name, at, with_volumes=True))
            until = f" until {moment(at)}"
        else:
            await self._cluster.clear_expiry(name)
        engine = self._context.engine
        option = f" --engine {engine}" if engine else ""
        self._context.message(f"{name}: kept{until}; to remove it: stackr down -p {name}{option}")

    async def remove(self) -> None:
        """Its time is up from now on, should this be cut off."""
        start = time.monotonic()
        with suppress(StackrError):
            await self._cluster.set_expiry(Expiry(self._name, time.time(), with_volumes=True))
        removed = await remove_stack(self._cluster, self._name, with_volumes=True)
        took_s = time.monotonic() - start
        self._context.message(f"{self._name}: removed in {took_s:.1f} s ({_counted(removed)})")
        for told in removed.left:
            self._context.warning(told)


def _counted(removed: RemovedDocuments) -> str:
    counts = (("service", removed.services), ("network", removed.networks))
    return ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts)
