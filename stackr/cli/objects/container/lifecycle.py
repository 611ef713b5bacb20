"""Containers are stopped, killed, paused, renamed, waited for and removed.

Source: docker/cli, cli/command/container.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, each, on_engine, path, report
from stackr.errors import NotFound
from stackr.options import Option

__all__ = ["kill", "pause", "rename", "restart", "rm", "stop", "unpause", "wait"]

_CONTAINERS = Argument("CONTAINER...")
_SIGNAL = Option("--signal", "-s", metavar="SIGNAL", help="In place of the container's own")
_TIMEOUT = Option("--timeout", "-t", "--time", metavar="SECONDS", help="Before it is killed")


@dataclass(frozen=True, slots=True)
class Containers:
    """Nothing but containers."""

    names: Annotated[tuple[str, ...], _CONTAINERS]


@dataclass(frozen=True, slots=True)
class StopArguments:
    """`stackr container stop` and `restart`. timeout_s: None for the container's own."""

    names: Annotated[tuple[str, ...], _CONTAINERS]
    signal: Annotated[str, _SIGNAL] = ""
    timeout_s: Annotated[int | None, _TIMEOUT] = None


@dataclass(frozen=True, slots=True)
class KillArguments:
    """`stackr container kill`."""

    names: Annotated[tuple[str, ...], _CONTAINERS]
    signal: Annotated[
        str, Option("--signal", "-s", metavar="SIGNAL", help="In place of SIGKILL")
    ] = ""


@dataclass(frozen=True, slots=True)
class RmArguments:
    """`stackr container rm`. link: what is named is a link."""

    names: Annotated[tuple[str, ...], _CONTAINERS]
    force: Annotated[bool, Option("--force", "-f", help="Kill those that run")] = False
    link: Annotated[bool, Option("--link", "-l", help="Remove the link of this name")] = False
    volumes: Annotated[bool, Option("--volumes", "-v", help="Their anonymous volumes as well")] = (
        False
    )


@dataclass(frozen=True, slots=True)
class RenameArguments:
    """`stackr container rename`."""

    old: Annotated[str, Argument("CONTAINER")]
    new: Annotated[str, Argument("NEW_NAME")]


Work = Callable[[Call, str], Coroutine[Any, Any, object]]


def _to_each(ctx: typer.Context, names: Sequence[str], work: Work) -> int:
    async def begin(call: Call) -> int:
        return await each(call, names, lambda name: work(call, name))

    return on_engine(ctx, begin)


def _posting(verb: str, **query: Any) -> Work:
    """A call that answers nothing; it may find things as asked already."""

    async def work(call: Call, name: str) -> None:
        await call.post_unless_so(path("containers", name, verb), **query)

    return work


@takes(StopArguments)
def stop(ctx: typer.Context, arguments: StopArguments) -> int:
    """Stop running containers."""
    query = {"t": arguments.timeout_s, "signal": arguments.signal or None}
    return _to_each(ctx, arguments.names, _posting("stop", **query))


@takes(StopArguments)
def restart(ctx: typer.Context, arguments: StopArguments) -> int:
    """Stop containers, and start them again."""
    query = {"t": arguments.timeout_s, "signal": arguments.signal or None}
    return _to_each(ctx, arguments.names, _posting("restart", **query))


@takes(KillArguments)
def kill(ctx: typer.Context, arguments: KillArguments) -> int:
    """Send a signal to running containers; SIGKILL by default."""
    return _to_each(ctx, arguments.names, _posting("kill", signal=arguments.signal or None))


@takes(Containers)
def pause(ctx: typer.Context, arguments: Containers) -> int:
    """Freeze all processes of containers."""
    return _to_each(ctx, arguments.names, _posting("pause"))


@takes(Containers)
def unpause(ctx: typer.Context, arguments: Containers) -> int:
    """Let the processes of paused containers go on."""
    return _to_each(ctx, arguments.names, _posting("unpause"))


@takes(Containers)
def wait(ctx: typer.Context, arguments: Containers) -> int:
    """Wait until containers end, and print their exit codes."""

    async def work(call: Call, name: str) -> int:
        return await call.runtime.wait_container(name)

    async def begin(call: Call) -> int:
        return await each(call, arguments.names, lambda name: work(call, name), at_once=False)

    return on_engine(ctx, begin)


@takes(RenameArguments)
def rename(ctx: typer.Context, arguments: RenameArguments) -> None:
    """Give a container another name."""

    async def work(call: Call) -> None:
        await call.post(path("containers", arguments.old, "rename"), name=arguments.new)

    on_engine(ctx, work)


@takes(RmArguments)
def rm(ctx: typer.Context, arguments: RmArguments) -> int:
    """Remove containers."""
    query = {name: True for name in ("force", "link") if getattr(arguments, name)} | (
        {"v": True} if arguments.volumes else {}
    )

    async def work(call: Call, name: str) -> object:
        try:
            await call.delete(path("containers", name.strip("/")), **query)
        except NotFound as error:
            if not arguments.force:
                raise
            report(call, error)  # it is as asked
            return False
        return None

    return _to_each(ctx, arguments.names, work)
