"""`stackr container logs`: what a container wrote, byte for byte.

Source: docker/cli, cli/command/container/logs.go.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.container import values
from stackr.cli.objects.engine import Call, on_engine, path
from stackr.options import Option
from stackr.runtime.docker.frames import frames

__all__ = ["logs"]


@dataclass(frozen=True, slots=True)
class LogsArguments:
    """`stackr container logs`."""

    name: Annotated[str, Argument("CONTAINER")]
    details: Annotated[bool, Option("--details", help="With what the log driver's options add")] = (
        False
    )
    follow: Annotated[bool, Option("--follow", "-f", help="Show new lines until it ends")] = False
    since: Annotated[
        str,
        Option("--since", metavar="WHEN", help="Only since this time: 10m, 2026-01-02"),
    ] = ""
    tail: Annotated[
        str, Option("--tail", "-n", metavar="NUM", help="Show only this many last lines")
    ] = "all"
    timestamps: Annotated[bool, Option("--timestamps", "-t", help="Show the time of each line")] = (
        False
    )
    until: Annotated[str, Option("--until", metavar="WHEN", help="Only lines up to this time")] = ""


@takes(LogsArguments)
def logs(ctx: typer.Context, arguments: LogsArguments) -> None:
    """Show what a container wrote."""
    query = {
        "stdout": True,
        "stderr": True,
        "follow": arguments.follow or None,
        "details": arguments.details or None,
        "timestamps": arguments.timestamps or None,
        "tail": arguments.tail,
        "since": values.moment("--since", arguments.since),
        "until": values.moment("--until", arguments.until),
    }

    async def work(call: Call) -> None:
        container = await call.runtime.inspect_container(arguments.name)
        outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
        where = path("containers", container.id, "logs")
        async with call.runtime.request_stream("GET", where, query=query) as chunks:
            async for name, data in frames(chunks, is_raw=container.tty):
                outputs[name].write(data)
                outputs[name].flush()

    on_engine(ctx, work, read_only=True)
