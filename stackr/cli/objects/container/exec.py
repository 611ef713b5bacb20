"""`stackr container exec`.

Source: docker/cli, cli/command/container/exec.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.commands.exec import joined_exec
from stackr.cli.declared import Argument, takes
from stackr.cli.objects.command import FlagError
from stackr.cli.objects.container import values
from stackr.cli.objects.container.keys import DETACH_KEYS, detach_keys
from stackr.cli.objects.container.run import check_terminal
from stackr.cli.objects.engine import Call, on_engine
from stackr.cli.terminal import console_size
from stackr.errors import InvalidArgument, StackrError
from stackr.options import Option
from stackr.runtime.container import ExecConfig

__all__ = ["CONTEXT_SETTINGS", "exec_"]

CONTEXT_SETTINGS = {"exec": {"allow_interspersed_args": False}}


@dataclass(frozen=True, slots=True)
class ExecArguments:
    """`stackr container exec`."""

    name: Annotated[str, Argument("CONTAINER")]
    command: Annotated[tuple[str, ...], Argument("COMMAND [ARG]...")]
    detach: Annotated[bool, Option("--detach", "-d", help="Do not wait for it")] = False
    detach_keys: Annotated[str, DETACH_KEYS] = ""
    environment: Annotated[
        tuple[str, ...], Option("--env", "-e", metavar="KEY[=VALUE]", help="Set a variable")
    ] = ()
    env_files: Annotated[
        tuple[str, ...], Option("--env-file", metavar="PATH", help="Set the variables of a file")
    ] = ()
    interactive: Annotated[bool, Option("--interactive", "-i", help="Pass stdin on")] = False
    privileged: Annotated[bool, Option("--privileged", help="With all capabilities")] = False
    tty: Annotated[bool, Option("--tty", "-t", help="With a terminal")] = False
    user: Annotated[
        str, Option("--user", "-u", metavar="USER[:GROUP]", help="Run it as this user")
    ] = ""
    working_dir: Annotated[
        str, Option("--workdir", "-w", metavar="PATH", help="Run it in this folder")
    ] = ""


@takes(ExecArguments)
def exec_(ctx: typer.Context, arguments: ExecArguments) -> int:
    """Run a command in a running container; its exit code is stackr's."""
    keys = detach_keys(arguments.detach_keys)
    try:
        of_files = values.environment((), arguments.env_files)
    except FlagError as error:
        raise InvalidArgument(error.message) from error  # 1 here, and 125 where one is made
    config = ExecConfig(
        arguments.command,
        tty=arguments.tty,
        console_size=console_size(tty=arguments.tty and not arguments.detach),
        stdin=arguments.interactive and not arguments.detach,
        environment=(*of_files, *values.environment(arguments.environment, ())),
        user=arguments.user,
        working_dir=arguments.working_dir,
        privileged=arguments.privileged,
    )

    async def work(call: Call) -> int:
        await call.runtime.inspect_container(arguments.name)  # before its terminal is looked at
        if arguments.detach:
            await call.runtime.exec_detached(arguments.name, config)
            return 0
        check_terminal(stdin=config.stdin, tty=config.tty)
        code = await joined_exec(call.runtime, arguments.name, config, keys)
        if code is None:
            raise StackrError("read escape sequence")
        return code

    return on_engine(ctx, work)
