"""`stackr container update`: the limits and the restart policy of containers that are there.

Source: docker/cli, cli/command/container/update.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.declared import Argument, Group, takes
from stackr.cli.objects.command import FlagError
from stackr.cli.objects.container import values
from stackr.cli.objects.container.limits import LimitOptions
from stackr.cli.objects.engine import Call, Json, each, on_engine, path
from stackr.errors import InvalidArgument

__all__ = ["update"]


@dataclass(frozen=True, slots=True)
class UpdateArguments:
    """`stackr container update`."""

    names: Annotated[tuple[str, ...], Argument("CONTAINER...")]
    limits: Annotated[LimitOptions, Group(())] = field(default_factory=LimitOptions)


@takes(UpdateArguments)
def update(ctx: typer.Context, arguments: UpdateArguments) -> int:
    """Change the limits and the restart policy of containers."""
    try:
        values.restart_policy(arguments.limits.restart)
    except FlagError as error:
        raise InvalidArgument(error.message) from error  # 1 here, and 125 where one is made
    body = _body(arguments.limits)
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


def _body(limits: LimitOptions) -> Json:
    unlimited = limits.pids_limit == 0  # it says so, and is no default
    return {n: v for n, v in limits.body().items() if v or (n == "PidsLimit" and unlimited)}
