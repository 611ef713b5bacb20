"""`stackr container attach` and `start`: the streams of a container that is there.

Source: docker/cli, cli/command/container/attach.go and start.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.commands.attach import joined
from stackr.cli.declared import Argument, takes
from stackr.cli.objects.container.keys import DETACH_KEYS, detach_keys
from stackr.cli.objects.container.run import check_terminal, signals_to
from stackr.cli.objects.engine import Call, on_engine, path, report
from stackr.cli.streams import join
from stackr.errors import Conflict, InvalidArgument, NotSupported, StackrError
from stackr.options import Option
from stackr.runtime.types import ContainerState

__all__ = ["attach", "start"]

_NOT_NOW = {
    "paused": "cannot attach to a paused container, unpause it first",
    "restarting": "cannot attach to a restarting container, wait until it is running",
}


@dataclass(frozen=True, slots=True)
class AttachArguments:
    """`stackr container attach`."""

    name: Annotated[str, Argument("CONTAINER")]
    detach_keys: Annotated[str, DETACH_KEYS] = ""
    stdin: Annotated[bool, Option("--no-stdin", turns_off=True, help="Do not pass stdin on")] = True
    forwards_signals: Annotated[
        bool, Option("--sig-proxy/--no-sig-proxy", help="Pass signals on to it (default)")
    ] = True


@dataclass(frozen=True, slots=True)
class StartArguments:
    """`stackr container start`."""

    names: Annotated[tuple[str, ...], Argument("CONTAINER...")]
    attach: Annotated[
        bool, Option("--attach", "-a", help="Show its output, and pass signals on")
    ] = False
    checkpoint: Annotated[str, Option("--checkpoint", metavar="NAME", hidden=True)] = ""
    checkpoint_dir: Annotated[str, Option("--checkpoint-dir", metavar="PATH", hidden=True)] = ""
    detach_keys: Annotated[str, DETACH_KEYS] = ""
    interactive: Annotated[bool, Option("--interactive", "-i", help="Pass stdin on as well")] = (
        False
    )


@takes(AttachArguments)
def attach(ctx: typer.Context, arguments: AttachArguments) -> int:
    """Join the streams of a running container; exit as it does."""
    keys = detach_keys(arguments.detach_keys)

    async def work(call: Call) -> int:
        container = await call.runtime.inspect_container(arguments.name)
        if container.state not in ("running", *_NOT_NOW):
            raise Conflict("cannot attach to a stopped container, start it first")
        if container.state in _NOT_NOW:
            raise Conflict(_NOT_NOW[container.state])
        stdin = arguments.stdin and container.open_stdin
        check_terminal(stdin=stdin, tty=container.tty)
        wanted = arguments.forwards_signals and not container.tty
        with signals_to(call, container.id, wanted=wanted):
            return await joined(
                call.session, call.runtime, container, stdin=stdin, keys=keys, left=1
            )

    return on_engine(ctx, work)


@takes(StartArguments)
def start(ctx: typer.Context, arguments: StartArguments) -> int:
    """Start containers."""
    if arguments.checkpoint or arguments.checkpoint_dir:
        raise NotSupported("--checkpoint: not supported: stackr makes none")
    keys = detach_keys(arguments.detach_keys)
    is_attached = arguments.attach or arguments.interactive
    if is_attached and len(arguments.names) > 1:
        raise InvalidArgument("you cannot start and attach multiple containers at once")

    async def work(call: Call) -> int:
        if is_attached:
            return await _start_attached(call, arguments, keys)
        return await _start_all(call, arguments)

    return on_engine(ctx, work)


async def _start_all(call: Call, arguments: StartArguments) -> int:
    failed = []
    for name in arguments.names:
        try:
            await call.post_unless_so(path("containers", name, "start"))
        except StackrError as error:
            report(call, error)
            failed.append(name)
        else:
            call.line(name)
    if failed:
        raise StackrError(f"failed to start containers: {', '.join(failed)}")
    return 0


async def _start_attached(call: Call, arguments: StartArguments, keys: bytes) -> int:
    container = await call.runtime.inspect_container(arguments.names[0])
    stdin = arguments.interactive and container.open_stdin
    check_terminal(stdin=stdin, tty=container.tty)
    condition = "removed" if await _removes_itself(call, container) else "next-exit"
    async with call.runtime.ending(container.id, condition) as exit_code:
        streams = await call.runtime.attach(container.id, stdin=stdin)
        try:
            await call.post_unless_so(path("containers", container.id, "start"))
            with signals_to(call, container.id, wanted=not container.tty):
                if await join(streams, tty=container.tty, stdin=stdin, detach_keys=keys):
                    return 0
                return await exit_code()
        finally:
            await streams.close()


async def _removes_itself(call: Call, container: ContainerState) -> bool:
    found = await call.get(path("containers", container.id, "json"))
    return bool((found.get("HostConfig") or {}).get("AutoRemove"))
