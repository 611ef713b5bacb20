"""`stackr exec`: a command in a running container, on the caller's terminal where there is one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.arguments import without_dashes
from stackr.cli.flags import Index
from stackr.cli.interrupts import run_interruptible
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.streams import DEFAULT_KEYS, join
from stackr.cli.terminal import console_size
from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.container import ExecConfig
from stackr.runtime.protocol import SupportsExec
from stackr.stack.replica import find_replica

__all__ = ["CONTEXT_SETTINGS", "exec_"]

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


@dataclass(frozen=True, slots=True)
class _Arguments:
    """`stackr exec`. environment: `KEY=VALUE`, or `KEY` for the caller's own value."""

    service: str
    command: tuple[str, ...]
    detach: bool = False
    environment: tuple[str, ...] = ()
    index: int | None = None
    privileged: bool = False
    tty: bool = True
    stdin: bool = True
    user: str | None = None
    working_dir: str | None = None


def exec_(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND [ARG]...")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for it")] = False,
    environment: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Set a variable"),
    ] = None,
    index: Index = None,
    privileged: Annotated[bool, typer.Option("--privileged", help="With all capabilities")] = False,
    tty: Annotated[
        bool,
        typer.Option(
            "--tty/--no-tty", "-t/-T", show_default=False, help="With a terminal (default) or not"
        ),
    ] = True,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive/--no-interactive",
            "-i",
            show_default=False,
            help="Pass stdin on (default)",
        ),
    ] = True,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="USER", help="Run it as this user")
    ] = None,
    working_dir: Annotated[
        str | None, typer.Option("--workdir", "-w", metavar="DIR", help="Run it in this folder")
    ] = None,
) -> int:
    """Run a command in a running container; its exit code is stackr's."""
    options = options_of(ctx)
    arguments = _Arguments(
        service,
        without_dashes(command),
        detach=detach,
        environment=tuple(_with_value(text) for text in environment or ()),
        index=index,
        privileged=privileged,
        tty=tty and sys.stdin.isatty() and sys.stdout.isatty(),
        stdin=interactive and not detach,
        user=user,
        working_dir=working_dir,
    )
    source = source_of(options)
    name = source.name()
    source.check_services((service,))
    with open_session(options) as session:
        return run_interruptible(_exec(session, name, arguments))


def _with_value(text: str) -> str:
    """`KEY` alone takes the caller's own value."""
    key, equals, _ = text.partition("=")
    if not key:
        raise InvalidArgument(f'--env: "{text}": KEY=VALUE is expected')
    return text if equals or key not in os.environ else f"{key}={os.environ[key]}"


async def _exec(session: Session, project: str, arguments: _Arguments) -> int:
    async with session.engine() as runtime:
        if not isinstance(runtime, SupportsExec):
            raise NotSupported("exec: this engine does not offer it")
        container = await find_replica(runtime, project, arguments.service, arguments.index)
        config = ExecConfig(
            arguments.command,
            tty=arguments.tty,
            console_size=console_size(tty=arguments.tty and not arguments.detach),
            stdin=arguments.stdin,
            environment=arguments.environment,
            user=arguments.user or "",
            working_dir=arguments.working_dir or "",
            privileged=arguments.privileged,
        )
        if session.is_dry_run:
            session.would(f"run in {container.name}: {' '.join(arguments.command)}")
            return 0
        if arguments.detach:
            await runtime.exec_detached(container.id, config)
            return 0
        return await _attached(runtime, container.id, config)


async def _attached(runtime: SupportsExec, ref: str, config: ExecConfig) -> int:
    program = await runtime.exec(ref, config)
    try:
        if await join(program, tty=config.tty, stdin=config.stdin, detach_keys=DEFAULT_KEYS):
            return 0
        return await program.exit_code()
    finally:
        await program.close()
