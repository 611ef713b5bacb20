"""What a stack's replicas use, as the engines of their nodes measure it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from stackr.runtime.types import ContainerStats
from stackr.runtime.workloads import Workloads
from stackr.stack.usage import UsageReaders
from stackr.stack.workloads.nodes import NodeEngines
from stackr.stack.workloads.tasks import list_tasks

__all__ = ["cluster_usage"]


async def cluster_usage(
    cluster: Workloads, project: str, ids: Collection[str] | None, every_s: float
) -> AsyncIterator[dict[str, ContainerStats]]:
    """See `live.LiveStack.usage`."""
    async with NodeEngines(cluster) as engines:
        readers = UsageReaders(engines)
        try:
            while True:
                tasks = [
                    each
                    for each in await list_tasks(cluster, project)
                    if each.task.state == "running"
                    and (ids is None or each.task.container_id in ids)
                ]
                readers.follow(await engines.within_reach(tasks))
                yield dict(readers.latest)
                await asyncio.sleep(every_s)
        finally:
            await readers.close()
