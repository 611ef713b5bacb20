"""What a cluster's tasks write, on whichever node they are: by their times, or as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from stackr.errors import NotFound
from stackr.planner.workloads.removal import service_key, services_of
from stackr.runtime.workloads import ObservedDocument, TaskLogEntry, Workloads
from stackr.stack.log_read import LogSink, moment_of, text_of
from stackr.stack.log_request import LogRequest
from stackr.stack.workloads.tasks import replica_name

__all__ = ["show_cluster_logs"]

_ORDER_S = 0.3
"""For how long a line that is followed is held back, so that those before it come first."""


async def show_cluster_logs(
    cluster: Workloads, project: str, request: LogRequest, sink: LogSink
) -> None:
    """Tell `sink` the lines, each under `web.2@node1`. Raises NotFound for an unknown service."""
    observation = await cluster.observe(project)
    services = services_of(observation, request.services)
    if not services and not observation.documents:
        raise NotFound(f"{project}: there is no such stack", hint="create it with stackr up")
    if request.follow:
        await _follow(cluster, services, request, sink)
        return
    found = [line for each in services async for line in _lines(cluster, each, request)]
    for key, entry in sorted(found, key=lambda line: line[1].time_ns):
        _tell(sink, key, entry, request)


async def _lines(
    cluster: Workloads, document: ObservedDocument, request: LogRequest
) -> AsyncIterator[tuple[str, TaskLogEntry]]:
    """Those that were asked for; `until` is known to no such engine."""
    key = service_key(document)
    async for entry in cluster.logs(
        document.id,
        follow=request.follow,
        tail=request.tail,
        since=request.since,
        timestamps=True,
    ):
        if request.index is not None and entry.slot != request.index:
            continue
        if request.until is None or entry.time_ns <= request.until * 1e9:
            yield key, entry


async def _follow(
    cluster: Workloads, services: list[ObservedDocument], request: LogRequest, sink: LogSink
) -> None:
    """Lines as they come, those that come together by their times."""
    lines: asyncio.Queue[tuple[str, TaskLogEntry]] = asyncio.Queue()

    async def read(document: ObservedDocument) -> None:
        async for line in _lines(cluster, document, request):
            lines.put_nowait(line)

    readers = asyncio.gather(*map(read, services))
    left_s = None if request.until is None else max(0.0, request.until - time.time())
    try:
        async with asyncio.timeout(left_s):
            while not (readers.done() and lines.empty()):
                await asyncio.wait([readers], timeout=_ORDER_S)
                batch = [lines.get_nowait() for _ in range(lines.qsize())]
                for key, entry in sorted(batch, key=lambda line: line[1].time_ns):
                    _tell(sink, key, entry, request)
            await readers
    except TimeoutError:
        return  # the time of `until` has come
    finally:
        readers.cancel()
        await asyncio.gather(readers, return_exceptions=True)


def _tell(sink: LogSink, key: str, entry: TaskLogEntry, request: LogRequest) -> None:
    name = replica_name(key, entry.slot, entry.node)
    moment = moment_of(entry) if request.timestamps else ""
    is_error = entry.stream == "stderr"
    sink.line(name, text_of(entry), is_error=is_error, moment=moment)
