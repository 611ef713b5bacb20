"""`stackr container update`: the limits and the restart policy of containers that are there.

Source: docker/cli, cli/command/container/update.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.container import values
from stackr.cli.objects.engine import Call, Json, each, on_engine, path
from stackr.errors import InvalidArgument
from stackr.options import Option

__all__ = ["update"]


@dataclass(frozen=True, slots=True)
class UpdateArguments:
    """`stackr container update`."""

    names: Annotated[tuple[str, ...], Argument("CONTAINER...")]
    blkio_weight: Annotated[
        int, Option("--blkio-weight", metavar="NUM", help="Block I/O, 10 to 1000")
    ] = 0
    cpu_period: Annotated[
        int, Option("--cpu-period", metavar="MICROSECONDS", help="Period of the CPU quota")
    ] = 0
    cpu_quota: Annotated[
        int, Option("--cpu-quota", metavar="MICROSECONDS", help="CPU time in each period")
    ] = 0
    cpu_rt_period: Annotated[
        int, Option("--cpu-rt-period", metavar="MICROSECONDS", help="Period of real time")
    ] = 0
    cpu_rt_runtime: Annotated[
        int, Option("--cpu-rt-runtime", metavar="MICROSECONDS", help="Real time in each period")
    ] = 0
    cpu_shares: Annotated[
        int, Option("--cpu-shares", "-c", metavar="NUM", help="Relative weight of its CPU time")
    ] = 0
    cpus: Annotated[str, Option("--cpus", metavar="NUM", help="Processors, 1.5 say")] = ""
    cpuset_cpus: Annotated[
        str, Option("--cpuset-cpus", metavar="LIST", help="Which processors: 0-3 or 0,1")
    ] = ""
    cpuset_mems: Annotated[
        str, Option("--cpuset-mems", metavar="LIST", help="Which memory nodes")
    ] = ""
    memory: Annotated[str, Option("--memory", "-m", metavar="BYTES", help="Most memory")] = ""
    memory_reservation: Annotated[
        str, Option("--memory-reservation", metavar="BYTES", help="Memory that it is left")
    ] = ""
    memory_swap: Annotated[
        str, Option("--memory-swap", metavar="BYTES", help="Most memory and swap; -1: no limit")
    ] = ""
    pids_limit: Annotated[
        int | None, Option("--pids-limit", metavar="NUM", help="Most processes; -1: no limit")
    ] = None
    restart: Annotated[
        str, Option("--restart", metavar="POLICY", help="no, on-failure[:NUM], always...")
    ] = ""


@takes(UpdateArguments)
def update(ctx: typer.Context, arguments: UpdateArguments) -> int:
    """Change the limits and the restart policy of containers."""
    body = _body(arguments)
    if not body:
        raise InvalidArgument("you must provide one or more flags when using this command")
    warnings: list[str] = []

    async def begin(call: Call) -> int:
        async def work(name: str) -> None:
            answer = await call.post(path("containers", name, "update"), body)
            warnings.extend((answer or {}).get("Warnings") or ())

        code = await each(call, arguments.names, work, at_once=False)
        for warning in warnings:
            call.error_line(warning)
        return code

    return on_engine(ctx, begin)


def _body(arguments: UpdateArguments) -> Json:
    found: Json = {
        "NanoCpus": values.nano_cpus(arguments.cpus),
        "Memory": values.size_bytes("--memory", arguments.memory),
        "MemoryReservation": values.size_bytes(
            "--memory-reservation", arguments.memory_reservation
        ),
        "MemorySwap": values.size_bytes("--memory-swap", arguments.memory_swap, unlimited=True),
        "RestartPolicy": values.restart_policy(arguments.restart),
    } | {api: getattr(arguments, name) for name, api in values.LIMITS.items()}
    unlimited = arguments.pids_limit == 0  # it says so, and is no default
    return {n: v for n, v in found.items() if v or (n == "PidsLimit" and unlimited)}
