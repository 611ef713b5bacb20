"""What is asked of a stack's logs, and how it is answered: once, or as more comes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated

from stackr.errors import InvalidArgument, NotFound
from stackr.options import Option
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState
from stackr.stack.containers import project_containers
from stackr.stack.log_read import LogSink, LogWindow, print_logs, with_logs
from stackr.stack.logs import Supervisor

__all__ = ["LogRequest", "show_logs"]

_GRACE_S = 5.0
"""A container that is stopped to be restarted starts again within this time."""


@dataclass(frozen=True, slots=True)
class LogRequest:
    """services: () for all. tail: lines of each container, None for all.

    since, until: Unix seconds. follow: go on until all have ended. timestamps: lines come
    with their times. index: only this replica of the one service.
    """

    services: tuple[str, ...] = ()
    follow: Annotated[bool, Option("--follow", "-f", help="Keep showing new lines")] = False
    tail: Annotated[
        int | None,
        Option("--tail", "-n", metavar="LINES", kind="tail", help="Last lines of each container"),
    ] = None
    since: Annotated[
        float | None,
        Option(
            "--since",
            metavar="WHEN",
            kind="moment",
            help="Not before: 10m, 2026-01-02T13:23:37Z",
        ),
    ] = None
    until: Annotated[
        float | None,
        Option("--until", metavar="WHEN", kind="moment", help="Only lines up to this time"),
    ] = None
    timestamps: Annotated[
        bool, Option("--timestamps", "-t", help="Show times before the lines")
    ] = False
    index: int | None = None

    def __post_init__(self) -> None:
        if self.index is not None and len(self.services) != 1:
            raise InvalidArgument("--index needs one service")


async def show_logs(runtime: Runtime, project: str, request: LogRequest, sink: LogSink) -> None:
    """Tell `sink` the lines: in the order of their times, and then as they come.

    Those of containers that take the place of others, and of further replicas, come along.
    """
    window = LogWindow(request.tail, request.since, request.until)
    containers = await project_containers(runtime, project, request.services, steps=True)
    if request.index is not None:
        containers = [c for c in containers if _number(c) == str(request.index)]
        if not containers:
            raise NotFound(f'service "{request.services[0]}" has no container {request.index}')
    left_s = None if request.until is None else request.until - time.time()
    if not request.follow or (left_s is not None and left_s <= 0):
        await print_logs(
            with_logs(runtime), containers, window, sink, timestamps=request.timestamps
        )
        return
    supervisor = Supervisor(
        with_logs(runtime),
        project,
        sink,
        services=request.services,
        number=request.index,
        grace_s=_GRACE_S,
        timestamps=request.timestamps,
        announce=False,
    )
    try:
        async with asyncio.timeout(left_s):
            await supervisor.open(window)
            await supervisor.replay(window)
            await supervisor.supervise_running()
            await supervisor.ended()
    except TimeoutError:
        return  # the time of `until` has come
    finally:
        await supervisor.close()


def _number(container: ContainerState) -> str:
    return container.labels.get(labels.CONTAINER_NUMBER, "")
