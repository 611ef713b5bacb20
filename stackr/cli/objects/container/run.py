"""`stackr container run`: a new container on the caller's terminal, or in the background.

It is attached to before it starts, so that nothing of its output is missed.
Source: docker/cli, cli/command/container/run.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.container.body import attached_streams, create_body
from stackr.cli.objects.container.create import check_pull, made
from stackr.cli.objects.container.keys import DETACH_KEYS, detach_keys
from stackr.cli.objects.container.options import CreateArguments
from stackr.cli.objects.engine import Call, on_engine, path
from stackr.cli.streams import forwarded_signals, join
from stackr.cli.terminal import console_size
from stackr.errors import Conflict, InvalidArgument, NotFound, StackrError
from stackr.options import Option

__all__ = ["CONTEXT_SETTINGS", "check_terminal", "run", "signals_to"]

CONTEXT_SETTINGS = {"run": {"allow_interspersed_args": False, "help_option_names": ["--help"]}}


class _CannotRun(StackrError):
    """There is no container, or it does not start."""

    exit_code = 125


class _CannotExecute(_CannotRun):
    """Its program is there, and is none."""

    exit_code = 126


class _NoProgram(_CannotRun):
    """Its program is not there."""

    exit_code = 127


@dataclass(frozen=True, slots=True)
class RunArguments(CreateArguments):
    """`stackr container run`."""

    detach: Annotated[bool, Option("--detach", "-d", help="Leave it running, and print its ID")] = (
        False
    )
    detach_keys: Annotated[str, DETACH_KEYS] = ""
    forwards_signals: Annotated[
        bool, Option("--sig-proxy/--no-sig-proxy", help="Pass signals on to it (default)")
    ] = True


@takes(RunArguments)
def run(ctx: typer.Context, arguments: RunArguments) -> int:
    """Run a command in a new container; its exit code is stackr's."""
    check_pull(arguments)
    streams = attached_streams(arguments)
    body = create_body(arguments, size=console_size(tty=True))
    keys = detach_keys(arguments.detach_keys)
    if arguments.detach:
        if arguments.attach:
            raise InvalidArgument("conflicting options: cannot specify both --attach and --detach")
        streams = dict.fromkeys(streams, False)
        for name in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"):
            body.pop(name, None)
    else:
        check_terminal(stdin=streams["stdin"], tty=arguments.tty)

    async def work(call: Call) -> int:
        try:
            identity = await made(call, arguments, body)
        except StackrError as error:
            raise _explained(error) from error
        try:
            if not any(streams.values()):
                await _started(call, identity, arguments)
                call.line(identity)
                return 0
            return await _attached(call, identity, arguments, streams, keys)
        except asyncio.CancelledError:
            await _remove_unstarted(call, identity)
            raise

    return on_engine(ctx, work)


def check_terminal(*, stdin: bool, tty: bool) -> None:
    """Raises InvalidArgument where somebody is to type at a terminal, and there is none."""
    if stdin and tty and not sys.stdin.isatty():
        raise InvalidArgument("the input device is not a TTY", hint="leave out -t")


@contextlib.contextmanager
def signals_to(call: Call, ref: str, *, wanted: bool) -> Iterator[None]:
    """The caller's signals go to the container meanwhile."""
    if not wanted:
        yield
        return

    async def send(name: str) -> None:
        await call.runtime.kill_container(ref, signal=name)

    with forwarded_signals(send):
        yield


async def _attached(
    call: Call, ref: str, arguments: RunArguments, streams: dict[str, bool], keys: bytes
) -> int:
    condition = "removed" if arguments.auto_remove else "next-exit"
    stdin = streams["stdin"]
    async with call.runtime.ending(ref, condition) as exit_code:
        joined = await call.runtime.attach(
            ref, stdin=stdin, stdout=streams["stdout"], stderr=streams["stderr"]
        )
        try:
            await _started(call, ref, arguments)
            with signals_to(call, ref, wanted=arguments.forwards_signals):
                if await join(joined, tty=arguments.tty, stdin=stdin, detach_keys=keys):
                    return 0
                return await exit_code()
        finally:
            await joined.close()


async def _started(call: Call, ref: str, arguments: RunArguments) -> None:
    """What cannot be started is removed with --rm; else it stays to be looked at."""
    try:
        await call.post_unless_so(path("containers", ref, "start"))
    except StackrError as error:
        if arguments.auto_remove:
            with contextlib.suppress(NotFound, Conflict):  # the engine is at it already
                await call.runtime.remove_container(ref, force=True, volumes=True)
        raise _explained(error) from error


async def _remove_unstarted(call: Call, ref: str) -> None:
    """Interrupted before it began: nobody knows of it."""
    with contextlib.suppress(StackrError):
        if (await call.runtime.inspect_container(ref)).state == "created":
            await call.runtime.remove_container(ref, volumes=True)


def _explained(error: StackrError) -> StackrError:
    """With docker's exit code, which it finds by the engine's words as well."""
    text, kind = error.message.lower(), _CannotRun
    if "executable file not found" in text or "no such file or directory" in text:
        kind = _NoProgram
    elif "permission denied" in text or "is a directory" in text:
        kind = _CannotExecute
    return kind(error.message, hint=error.hint)
