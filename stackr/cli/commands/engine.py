"""`stackr engine`: start, stop and look at the embedded engine.

`start` starts it in the background, as `stackr up` does by itself, or in front, for systemd.
Containers go on while the engine is stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from stackr.cli.arguments import seconds
from stackr.cli.declared import takes
from stackr.cli.engine_arguments import EngineArguments
from stackr.cli.options import options_of
from stackr.errors import Conflict, NotFound, PermissionDenied
from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.hosts import check_authenticated
from stackr.runtime.engine.installation import (
    check_installable,
    install_steps,
    uninstall_steps,
)
from stackr.runtime.engine.launch import daemon_argv, ensure_running, is_running, log_path
from stackr.runtime.engine.units import DOCKER_SOCKET, GROUP, Install, service_unit, socket_unit
from stackr.warm.launch import stop_servers

__all__ = ["engine"]

_POLL_S = 0.25

engine = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Start, stop and look at the embedded engine.",
)

DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", metavar="DIR", help="Where images, volumes and records are kept"),
]
ExecRoot = Annotated[
    Path | None,
    typer.Option("--exec-root", metavar="DIR", help="Where the socket and the log are"),
]


def _config(data_root: Path | None, exec_root: Path | None) -> EngineConfig:
    roots = {"data-root": data_root, "exec-root": exec_root}
    return EngineConfig.from_environment(
        flags={key: str(root) for key, root in roots.items() if root is not None}
    )


@engine.command()
@takes(EngineArguments)
def start(ctx: typer.Context, arguments: EngineArguments) -> None:
    """Start the engine in the background and return once it answers; or serve in front."""
    config = arguments.config()
    if arguments.foreground:
        _serve(config)
    ran_already = is_running(config)
    if ran_already and config.flags.keys() - {"data-root", "exec-root"}:
        raise Conflict(
            f"engine: it runs already: {config.socket}",
            hint="options count from its start on: stackr engine stop, and start it again",
        )
    ensure_running(config)
    if options_of(ctx).json:
        typer.echo(json.dumps({"started": not ran_already, "socket": str(config.socket)}))
    else:
        typer.echo(f"engine {'runs already' if ran_already else 'started'}: {config.socket}")
    _warn(config)


@engine.command()
def install(
    group: Annotated[
        str, typer.Option("--group", "-G", metavar="NAME", help="Who may use it without being root")
    ] = GROUP,
    docker_socket: Annotated[
        bool, typer.Option("--docker-socket", help="Listen at /var/run/docker.sock as well")
    ] = False,
    print_: Annotated[
        bool, typer.Option("--print", help="Show what would be done and written, and do nothing")
    ] = False,
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="Write below it, and start nothing")
    ] = Path("/"),
    no_start: Annotated[
        bool, typer.Option("--no-start", help="Leave the start to the next boot")
    ] = False,
) -> None:
    """Set the engine up as a service of systemd, which starts it with each boot."""
    config = EngineConfig.from_environment()
    sockets = [str(config.socket), *([DOCKER_SOCKET] if docker_socket else [])]
    wanted = Install(_own_command(), sockets, group)
    if print_:
        for name, text in (("socket", socket_unit(wanted)), ("service", service_unit(wanted))):
            typer.echo(f"# /etc/systemd/system/stackr.{name}\n{text}")
    else:
        check_installable(root)
    for step in list(install_steps(wanted, config, root, start=not no_start)):
        typer.echo(f"# {step.text}" if print_ else step.text)
        if not print_:
            step.run()
    if not print_:
        typer.echo(f"let somebody use it: usermod -aG {group} USER; a member of it is root here")


@engine.command()
def uninstall(
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="Remove what is below it")
    ] = Path("/"),
) -> None:
    """Remove the service again; containers go on, and what they have stays."""
    check_installable(root, command="uninstall")
    for step in list(uninstall_steps(root)):
        typer.echo(step.text)
        step.run()


def _own_command() -> list[str]:
    """How a service runs this very stackr: by the command's path, or by its interpreter."""
    own = Path(sys.argv[0])
    if own.name == "stackr" and own.is_absolute() and os.access(own, os.X_OK):
        return [str(own)]
    found = shutil.which("stackr")
    if found is not None and Path(found).resolve().parent == Path(sys.executable).parent:
        return [str(Path(found).absolute())]
    return [sys.executable, "-P", "-m", "stackr"]


def _serve(config: EngineConfig) -> NoReturn:
    argv = daemon_argv(config)
    os.execv(argv[0], argv)


def _warn(config: EngineConfig) -> None:
    """What the operator has to know of who can be root now."""
    options = config.options
    for warning in check_authenticated(
        options.listening(),
        verifies=options.tlsverify,
        allowed=options.allow_unauthenticated_tcp,
    ):
        typer.echo(f"warning: {warning}", err=True)


@engine.command()
def stop(
    ctx: typer.Context,
    data_root: DataRoot = None,
    exec_root: ExecRoot = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", "-t", metavar="DURATION", parser=seconds, help="How long to wait for it"
        ),
    ] = 30.0,
) -> None:
    """Stop the engine, and the warm process that runs commands quickly.

    Containers go on, and are taken over by the engine's next start.
    """
    stopped = control.stop(_config(data_root, exec_root), timeout_s=timeout)
    stop_servers()
    if options_of(ctx).json:
        typer.echo(json.dumps({"stopped": stopped}))
    else:
        typer.echo("engine stopped" if stopped else "engine does not run")


@engine.command()
def restart(
    data_root: DataRoot = None,
    exec_root: ExecRoot = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", "-t", metavar="DURATION", parser=seconds, help="How long to wait for it"
        ),
    ] = 30.0,
) -> None:
    """Put the installed version in the place of the one that runs; containers go on.

    It gets the options that the running one was started with.
    """
    config = control.as_it_runs(_config(data_root, exec_root))
    config.read_options()  # what cannot be started is not stopped
    control.stop(config, timeout_s=timeout)
    stop_servers()
    ensure_running(config)
    typer.echo(f"engine restarted: {config.socket}")


@engine.command()
def status(
    ctx: typer.Context,
    data_root: DataRoot = None,
    exec_root: ExecRoot = None,
    json_: Annotated[bool, typer.Option("--json", help="As one JSON object")] = False,
) -> int:
    """Say whether the engine runs, and its warnings; the exit code is 0 where it does, else 1."""
    config = _config(data_root, exec_root)
    found = control.status(config)
    if json_ or options_of(ctx).json:
        typer.echo(
            json.dumps(
                {
                    "running": found.answers,
                    "pid": found.pid,
                    "socket": str(config.socket),
                    "warnings": list(found.warnings),
                }
            )
        )
        return 0 if found.answers else 1
    if found.answers:
        typer.echo(f"engine runs: {config.socket}" + (f", pid {found.pid}" if found.pid else ""))
        for warning in found.warnings:
            typer.echo(f"  warning: {warning}")
        return 0
    typer.echo(f"engine does not answer, pid {found.pid}" if found.pid else "engine does not run")
    return 1


@engine.command()
def logs(
    data_root: DataRoot = None,
    exec_root: ExecRoot = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new lines")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", metavar="LINES", min=0, help="Last lines only")
    ] = None,
) -> None:
    """Show the log of an engine that runs in the background."""
    path = log_path(_config(data_root, exec_root))
    try:
        log = path.open("rb")
    except FileNotFoundError:
        raise NotFound(
            f'engine log "{path}": not there: the engine was not started in the background',
            hint="under systemd, its log is in the journal: journalctl -u stackr",
        ) from None
    except PermissionError:
        raise PermissionDenied(
            f'engine log "{path}": permission denied', hint="run it with sudo"
        ) from None
    with log:
        lines = log.read()
        if tail is not None:
            lines = b"".join(lines.splitlines(keepends=True)[-tail:] if tail else [])
        _write(lines)
        while follow:
            time.sleep(_POLL_S)
            _write(log.read())


def _write(data: bytes) -> None:
    if data:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@engine.command()
@takes(EngineArguments)
def run(ctx: typer.Context, arguments: EngineArguments) -> None:
    """Serve in front until SIGTERM or Ctrl-C, as `start --foreground`."""
    _serve(arguments.config())
