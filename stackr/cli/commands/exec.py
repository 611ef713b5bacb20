"""`stackr exec`: a command in a running container, on the caller's terminal where there is one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from stackr.cli.arguments import without_dashes
from stackr.cli.declared import Argument, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.streams import DEFAULT_KEYS, join
from stackr.cli.terminal import console_size
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option
from stackr.runtime.container import ExecConfig
from stackr.runtime.protocol import Runtime, SupportsExec
from stackr.runtime.workloads import Workloads
from stackr.stack.replica import find_replica
from stackr.stack.workloads.nodes import NodeEngines, running_tasks

__all__ = ["CONTEXT_SETTINGS", "exec_", "joined_exec"]

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


@dataclass(frozen=True, slots=True)
class ExecArguments:
    """`stackr exec`. environment: `KEY=VALUE`, or `KEY` for the caller's own value."""

    service: Annotated[str, Argument("SERVICE")]
    command: Annotated[tuple[str, ...], Argument("COMMAND [ARG]...")]
    detach: Annotated[bool, Option("--detach", "-d", help="Do not wait for it")] = False
    environment: Annotated[
        tuple[str, ...], Option("--env", "-e", metavar="KEY=VALUE", help="Set a variable")
    ] = ()
    index: Annotated[int | None, Option("--index", metavar="NUM", help="Which replica")] = None
    privileged: Annotated[bool, Option("--privileged", help="With all capabilities")] = False
    tty: Annotated[
        bool, Option("--tty/--no-tty", "-t/-T", help="With a terminal (default) or not")
    ] = True
    stdin: Annotated[
        bool,
        Option("--interactive/--no-interactive", "-i", help="Pass stdin on (default)"),
    ] = True
    user: Annotated[
        str | None, Option("--user", "-u", metavar="USER", help="Run it as this user")
    ] = None
    working_dir: Annotated[
        str | None, Option("--workdir", "-w", metavar="DIR", help="Run it in this folder")
    ] = None


@takes(ExecArguments)
def exec_(ctx: typer.Context, arguments: ExecArguments) -> int:
    """Run a command in a running container; its exit code is stackr's."""
    options = options_of(ctx)
    arguments = replace(
        arguments,
        command=without_dashes(arguments.command),
        environment=tuple(_with_value(text) for text in arguments.environment),
        tty=arguments.tty and sys.stdin.isatty() and sys.stdout.isatty(),
        stdin=arguments.stdin and not arguments.detach,
    )
    source = source_of(options)
    name = source.name()
    source.check_services((arguments.service,))
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: _exec(session, runtime, name, arguments),
            cluster=OnCluster(name, lambda cluster: _exec_on(session, cluster, name, arguments)),
        )


def _with_value(text: str) -> str:
    """`KEY` alone takes the caller's own value."""
    key, equals, _ = text.partition("=")
    if not key:
        raise InvalidArgument(f'--env: "{text}": KEY=VALUE is expected')
    return text if equals or key not in os.environ else f"{key}={os.environ[key]}"


async def _exec(session: Session, runtime: Runtime, project: str, arguments: ExecArguments) -> int:
    container = await find_replica(runtime, project, arguments.service, arguments.index)
    return await _exec_in(session, runtime, container.id, container.name, arguments)


async def _exec_on(
    session: Session, cluster: Workloads, project: str, arguments: ExecArguments
) -> int:
    """By the engine of the node that the replica is on: of any, where none is named."""
    tasks = await running_tasks(cluster, project, [arguments.service], arguments.index)
    async with NodeEngines(cluster) as engines:
        runtime, chosen = await engines.first(tasks)
        ref = chosen.task.container_id
        return await _exec_in(session, runtime, ref, ref[:12], arguments)


async def _exec_in(
    session: Session, runtime: Runtime, ref: str, name: str, arguments: ExecArguments
) -> int:
    if not isinstance(runtime, SupportsExec):
        raise NotSupported("exec: this engine does not offer it")
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
        session.would(f"run in {name}: {' '.join(arguments.command)}")
        return 0
    if arguments.detach:
        await runtime.exec_detached(ref, config)
        return 0
    return await joined_exec(runtime, ref, config) or 0


async def joined_exec(
    runtime: SupportsExec, ref: str, config: ExecConfig, keys: bytes = DEFAULT_KEYS
) -> int | None:
    """Run it on the caller's streams; its exit code, or None where `keys` leave it."""
    program = await runtime.exec(ref, config)
    try:
        if await join(program, tty=config.tty, stdin=config.stdin, detach_keys=keys):
            return None
        return await program.exit_code()
    finally:
        await program.close()
