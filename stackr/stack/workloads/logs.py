"""What a cluster's tasks write, on whichever node they are: by their times, or as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from stackr.errors import NotFound, StackrError
from stackr.planner.workloads.document import key_of
from stackr.planner.workloads.removal import services_of
from stackr.runtime.workloads import ObservedDocument, TaskLogEntry, Workloads
from stackr.stack.log_read import LogSink, moment_of, text_of
from stackr.stack.log_request import LogRequest
from stackr.stack.workloads.tasks import replica_name

__all__ = ["show_cluster_logs"]

_ORDER_S = 0.3
"""For how long a line that is followed is held back, so that those before it come first."""
_LOOK_S = 2.0
"""How often it is looked whether further services have come."""


async def show_cluster_logs(
    cluster: Workloads, project: str, request: LogRequest, sink: LogSink
) -> None:
    """Tell `sink` the lines, each under `web.2@node1`. Raises NotFound for an unknown service."""
    observation = await cluster.observe(project)
    services = services_of(observation, request.services)
    if not services and not observation.documents:
        raise NotFound(f"{project}: there is no such stack", hint="create it with stackr up")
    if request.follow:
        await _Followed(cluster, project, request).tell(services, sink)
        return
    found = [line for each in services async for line in _lines(cluster, each, request)]
    for key, entry in sorted(found, key=lambda line: line[1].time_ns):
        _tell(sink, key, entry, request)


async def _lines(
    cluster: Workloads, document: ObservedDocument, request: LogRequest
) -> AsyncIterator[tuple[str, TaskLogEntry]]:
    """Those that were asked for; `until` is known to no such engine."""
    key = key_of(document)
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


class _Followed:
    """Lines as they come, those that come together by their times; of services that come, too."""

    def __init__(self, cluster: Workloads, project: str, request: LogRequest) -> None:
        self._cluster = cluster
        self._project = project
        self._request = request
        self._lines: asyncio.Queue[tuple[str, TaskLogEntry]] = asyncio.Queue()
        self._readers: dict[str, asyncio.Task[None]] = {}

    async def tell(self, services: Iterable[ObservedDocument], sink: LogSink) -> None:
        """Until all services are gone, or the time of `until` has come."""
        until = self._request.until
        self._read_all(services)
        looking = asyncio.ensure_future(self._look())
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.time())):
                while self._is_reading or not self._lines.empty():
                    await asyncio.wait(self._readers.values(), timeout=_ORDER_S)
                    batch = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
                    for key, entry in sorted(batch, key=lambda line: line[1].time_ns):
                        _tell(sink, key, entry, self._request)
                await asyncio.gather(*self._readers.values())
        except TimeoutError:
            return
        finally:
            tasks = [looking, *self._readers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_reading(self) -> bool:
        return any(not reader.done() for reader in self._readers.values())

    def _read_all(self, services: Iterable[ObservedDocument]) -> None:
        for each in services:
            if each.id not in self._readers:
                self._readers[each.id] = asyncio.ensure_future(self._read(each))

    async def _read(self, document: ObservedDocument) -> None:
        with suppress(NotFound):  # it has been removed
            async for line in _lines(self._cluster, document, self._request):
                self._lines.put_nowait(line)

    async def _look(self) -> None:
        """Read those that have come as well, where none are named."""
        while not self._request.services:
            await asyncio.sleep(_LOOK_S)
            with suppress(StackrError):  # readers find out
                self._read_all(services_of(await self._cluster.observe(self._project)))


def _tell(sink: LogSink, key: str, entry: TaskLogEntry, request: LogRequest) -> None:
    name = replica_name(key, entry.slot, entry.node)
    moment = moment_of(entry) if request.timestamps else ""
    is_error = entry.stream == "stderr"
    sink.line(name, text_of(entry), is_error=is_error, moment=moment)
