"""`stackr exec`: a command in a running container, on the caller's terminal where there is one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stackr.cli.arguments import ExecArguments, Targets
from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import options_of
from stackr.cli.project import check_services, project_name
from stackr.cli.session import Session, open_session
from stackr.errors import InvalidArgument, NotSupported

if TYPE_CHECKING:
    from stackr.runtime.container import ExecConfig
    from stackr.runtime.protocol import ExecSession, SupportsExec

__all__ = ["CONTEXT_SETTINGS", "exec_"]

CONTEXT_SETTINGS = {"allow_interspersed_args": False}
_CHUNK = 65536


def exec_(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND [ARG]...")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for it")] = False,
    environment: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Set a variable"),
    ] = None,
    index: Annotated[
        int | None, typer.Option("--index", metavar="NUM", help="Which replica")
    ] = None,
    privileged: Annotated[bool, typer.Option("--privileged", help="With all capabilities")] = False,
    no_tty: Annotated[bool, typer.Option("--no-tty", "-T", help="Without a terminal")] = False,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="USER", help="Run it as this user")
    ] = None,
    working_dir: Annotated[
        str | None, typer.Option("--workdir", "-w", metavar="DIR", help="Run it in this folder")
    ] = None,
) -> int:
    """Run a command in a running container; its exit code is stackr's."""
    options = options_of(ctx)
    arguments = ExecArguments(
        service,
        tuple(command),
        detach=detach,
        environment=tuple(_with_value(text) for text in environment or ()),
        index=index,
        privileged=privileged,
        tty=not no_tty and sys.stdin.isatty() and sys.stdout.isatty(),
        user=user,
        working_dir=working_dir,
    )
    name = project_name(options)
    check_services(options, Targets(services=(service,)))
    with open_session(options) as session:
        return run_interruptible(_exec(session, name, arguments))


def _with_value(text: str) -> str:
    """`KEY` alone takes the caller's own value."""
    key, equals, _ = text.partition("=")
    if not key:
        raise InvalidArgument(f'--env: "{text}": KEY=VALUE is expected')
    return text if equals or key not in os.environ else f"{key}={os.environ[key]}"


async def _exec(session: Session, project: str, arguments: ExecArguments) -> int:
    from stackr.cli.replica import find_replica
    from stackr.runtime.container import ExecConfig
    from stackr.runtime.protocol import SupportsExec

    async with session.engine() as runtime:
        if not isinstance(runtime, SupportsExec):
            raise NotSupported("exec: this engine does not offer it")
        container = await find_replica(runtime, project, arguments.service, arguments.index)
        config = ExecConfig(
            arguments.command,
            tty=arguments.tty,
            stdin=not arguments.detach,
            environment=arguments.environment,
            user=arguments.user or "",
            working_dir=arguments.working_dir or "",
            privileged=arguments.privileged,
        )
        if arguments.detach:
            await runtime.exec_detached(container.id, config)
            return 0
        return await _attached(runtime, container.id, config)


async def _attached(runtime: SupportsExec, ref: str, config: ExecConfig) -> int:
    from stackr.cli.terminal import raw_terminal

    exec_session = await runtime.exec(ref, config)
    try:
        with contextlib.ExitStack() as stack:
            if config.tty:
                stack.enter_context(raw_terminal(sys.stdin.fileno()))
                _follow_size(exec_session, stack)
            typing = asyncio.ensure_future(_send_input(exec_session))
            try:
                await _show_output(exec_session)
            finally:
                typing.cancel()
                await asyncio.gather(typing, return_exceptions=True)
        return await exec_session.exit_code()
    finally:
        await exec_session.close()


def _follow_size(exec_session: ExecSession, stack: contextlib.ExitStack) -> None:
    """Give the command's terminal the size of the caller's, now and when that changes."""
    from stackr.cli.terminal import terminal_size, watch_size

    tasks: set[asyncio.Task[None]] = set()

    def resize() -> None:
        size = terminal_size()
        if size is not None:
            columns, rows = size
            task = asyncio.ensure_future(exec_session.resize(rows=rows, columns=columns))
            tasks.add(task)
            task.add_done_callback(_forget)

    def _forget(task: asyncio.Task[None]) -> None:
        """A command that has ended has no size any more."""
        tasks.discard(task)
        if not task.cancelled():
            task.exception()

    resize()
    stack.enter_context(watch_size(resize))


async def _send_input(exec_session: ExecSession) -> None:
    """Pass stdin on until its end."""
    from stackr.cli.terminal import read_chunks

    async for data in read_chunks(sys.stdin.fileno(), _CHUNK):
        await exec_session.write(data)
    await exec_session.close_stdin()


async def _show_output(exec_session: ExecSession) -> None:
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    async for name, data in exec_session.output():
        streams[name].write(data)
        streams[name].flush()
