"""`stackr test`: an isolated copy of the stack, a command beside it, and nothing left of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, parse_pull, parse_scale, parse_span
from stackr.cli.flags import Pull, Scale
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.testenv.arguments import Arguments, parse_fixed_port
from stackr.planner.instance import Keep

__all__ = ["CONTEXT_SETTINGS", "environment"]

CONTEXT_SETTINGS = {"allow_interspersed_args": False}
_TTL = "1h"


def environment(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND [ARG]...", show_default=False)
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option("--service", metavar="SERVICE", help="Only this, and what it depends on"),
    ] = None,
    scale: Scale = None,
    pull: Pull = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the environment up")] = False,
    keep_on_failure: Annotated[
        bool, typer.Option("--keep-on-failure", help="Leave it up if anything fails")
    ] = False,
    artifacts: Annotated[
        str | None,
        typer.Option("--artifacts", metavar="DIR", help="Where a failure is documented"),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="How long the command may take"),
    ] = None,
    wait_timeout: Annotated[
        str,
        typer.Option("--wait-timeout", metavar="DURATION", help="How long to get ready may take"),
    ] = "5m",
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl", metavar="DURATION", help=f"How long the environment lives at most ({_TTL})"
        ),
    ] = None,
    stop_timeout: Annotated[
        str,
        typer.Option(
            "--stop-timeout", metavar="DURATION", help="For containers to stop; 0 kills them"
        ),
    ] = "0",
    fixed_port: Annotated[
        list[str] | None,
        typer.Option(
            "--fixed-port", metavar="SERVICE:PORT", help="Publish it where the stack file says"
        ),
    ] = None,
    fixed_subnet: Annotated[
        list[str] | None,
        typer.Option(
            "--fixed-subnet", metavar="NETWORK", help="Keep the stack file's subnet and addresses"
        ),
    ] = None,
    ports_file: Annotated[
        str | None,
        typer.Option("--ports-file", metavar="FILE", help="Write the variables to it"),
    ] = None,
    print_env: Annotated[
        str | None, typer.Option("--print-env", metavar="KIND", help="dotenv or json, on stdout")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="KIND", help="Of failures: text or github (annotations)"),
    ] = None,
) -> int:
    """Run a command beside an isolated copy of the stack, which is always taken away again."""
    options = options_of(ctx)
    arguments = Arguments(
        command=tuple(command or ()),
        services=tuple(service or ()),
        scale=parse_scale(scale),
        pull=parse_pull(pull),
        keep=keep,
        keep_on_failure=keep_on_failure,
        artifacts=Path(artifacts) if artifacts is not None else None,
        timeout_s=parse_span("--timeout", timeout) if timeout is not None else None,
        wait_timeout_s=parse_span("--wait-timeout", wait_timeout),
        ttl_s=parse_span("--ttl", ttl if ttl is not None else _TTL),
        is_ttl_given=ttl is not None,
        stop_timeout_s=parse_span("--stop-timeout", stop_timeout) or 0,
        fixed=Keep(parse_fixed_port(fixed_port or ()), frozenset(fixed_subnet or ())),
        ports_file=Path(ports_file) if ports_file is not None else None,
        print_env=_kind(print_env),
        is_github=_is_github(format_),
    )
    from stackr.cli.testenv.blueprint import draw
    from stackr.cli.testenv.run import run_test

    blueprint = draw(options, arguments)
    if arguments.artifacts is not None:
        from stackr.cli.testenv.dossier import FILES
        from stackr.cli.testenv.files import claim_folder

        claim_folder(arguments.artifacts, FILES)
    with open_session(options) as session:
        return asyncio.run(run_test(session, blueprint))


def _kind(text: str | None) -> str | None:
    return None if text is None else check_choice("--print-env", text, ("dotenv", "json"))


def _is_github(text: str | None) -> bool:
    if text is None:
        return os.environ.get("GITHUB_ACTIONS") == "true"
    return check_choice("--format", text, ("text", "github")) == "github"
