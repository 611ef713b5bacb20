"""`stackr test`: an isolated copy of the stack, a command beside it, and nothing left of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, parse_span
from stackr.cli.declared import Argument, Group, takes
from stackr.cli.interrupts import Interrupts
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.brief import BriefView
from stackr.cli.views.findings_github import error_commands, without_commands
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.planner.desired.instance import Keep
from stackr.planner.plan.options import UpOptions
from stackr.stack.context import Context
from stackr.stack.events import EnvironmentFailed, EnvironmentReady, StackEvent
from stackr.stack.testenv.blueprint import Blueprint, draw
from stackr.stack.testenv.command import check_command as check_program
from stackr.stack.testenv.dossier import FILES
from stackr.stack.testenv.files import claim_folder
from stackr.stack.testenv.handover import as_json
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.run import run_test
from stackr.stack.testenv.summary import findings_json, findings_lines
from stackr.stack.testenv.variables import Member, dotenv
from stackr.text import whole_number

__all__ = ["CONTEXT_SETTINGS", "address_lines", "check_command", "environment", "fixed_ports"]

_MOST_PORT = 65535
CONTEXT_SETTINGS = {"allow_interspersed_args": False}
_TTL = "1h"


@dataclass(frozen=True, slots=True)
class _Told:
    """How it is told. print_env: the variables on stdout, as "dotenv" or "json"."""

    print_env: str | None
    is_github: bool


@dataclass(frozen=True, slots=True)
class EnvironmentArguments:
    """`stackr test`. form: of failures; None is that of the place where it runs."""

    command: Annotated[tuple[str, ...], Argument("-- COMMAND [ARG]...")] = ()
    services: Annotated[
        tuple[str, ...],
        Option("--service", metavar="SERVICE", help="Only this, and what it depends on"),
    ] = ()
    planned: Annotated[UpOptions, Group(("scale", "pull"))] = field(default_factory=UpOptions)
    keep: Annotated[bool, Option("--keep", help="Leave the environment up")] = False
    keep_on_failure: Annotated[
        bool, Option("--keep-on-failure", help="Leave it up if anything fails")
    ] = False
    artifacts: Annotated[
        Path | None,
        Option("--artifacts", metavar="DIR", help="Where a failure is documented"),
    ] = None
    timeout_s: Annotated[
        float | None,
        Option("--timeout", metavar="DURATION", kind="span", help="How long the command may take"),
    ] = None
    wait_timeout: Annotated[
        str,
        Option(
            "--wait-timeout",
            metavar="DURATION",
            help="How long the environment may take to get ready",
        ),
    ] = "5m"
    ttl: Annotated[
        str | None,
        Option(
            "--ttl", metavar="DURATION", help=f"How long the environment lives at most ({_TTL})"
        ),
    ] = None
    stop_timeout: Annotated[
        str,
        Option(
            "--stop-timeout",
            metavar="DURATION",
            help="How long containers may take to stop; 0 kills them",
        ),
    ] = "0"
    publish: Annotated[
        tuple[str, ...],
        Option(
            "--publish",
            metavar="SERVICE[:PORT]",
            help="Publish a port of it, all that it exposes, or of all services: all",
        ),
    ] = ()
    fixed_ports: Annotated[
        tuple[str, ...],
        Option("--fixed-port", metavar="SERVICE:PORT", help="Publish it where the stack file says"),
    ] = ()
    fixed_subnets: Annotated[
        tuple[str, ...],
        Option(
            "--fixed-subnet", metavar="NETWORK", help="Keep the stack file's subnet and addresses"
        ),
    ] = ()
    ports_file: Annotated[
        Path | None, Option("--ports-file", metavar="FILE", help="Write the variables to it")
    ] = None
    print_env: Annotated[
        str | None, Option("--print-env", metavar="KIND", help="dotenv or json, on stdout")
    ] = None
    form: Annotated[
        str | None,
        Option("--format", metavar="KIND", help="Of failures: text or github (annotations)"),
    ] = None

    def options(self) -> EnvironmentOptions:
        """What the environment is made by. Raises InvalidArgument."""
        return EnvironmentOptions(
            command=self.command,
            services=self.services,
            scale=dict(self.planned.scale),
            pull=self.planned.pull,
            keep=self.keep,
            keep_on_failure=self.keep_on_failure,
            artifacts=self.artifacts,
            timeout_s=self.timeout_s,
            wait_timeout_s=parse_span("--wait-timeout", self.wait_timeout),
            ttl_s=parse_span("--ttl", self.ttl if self.ttl is not None else _TTL),
            is_ttl_given=self.ttl is not None,
            stop_timeout_s=parse_span("--stop-timeout", self.stop_timeout) or 0,
            fixed=Keep(fixed_ports(self.fixed_ports), frozenset(self.fixed_subnets)),
            ports_file=self.ports_file,
            publish=self.publish,
        )


@takes(EnvironmentArguments)
def environment(ctx: typer.Context, given: EnvironmentArguments) -> int:
    """Run a command beside an isolated copy of the stack, and always remove the copy."""
    options = options_of(ctx)
    arguments = given.options()
    check_command(arguments)
    told = _Told(_kind(given.print_env), _is_github(given.form))
    if arguments.command:
        check_program(arguments.command)
    blueprint = draw(source_of(options).plain(), options.engine, arguments)
    if arguments.artifacts is not None:
        claim_folder(arguments.artifacts, FILES)
    with open_session(options) as session:
        session = _in_few_lines(session)
        context = replace(session.context(), report=lambda event: _show(session, told, event))
        return asyncio.run(_run(context, blueprint))


async def _run(context: Context, blueprint: Blueprint) -> int:
    """The exit code; a signal takes the environment away."""
    interrupts = Interrupts()
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with interrupts.caught(*(() if is_nohup else (signal.SIGHUP,))):
        return await run_test(context, blueprint, interrupts)


def _in_few_lines(session: Session) -> Session:
    """Off a terminal, where no other view is asked for, a line for each service."""
    is_auto = session.options.progress in (None, "auto") and not session.is_json
    is_plain = is_auto and not session.err.is_terminal
    return replace(session, view=BriefView(session.err)) if is_plain else session


def _show(session: Session, told: _Told, event: StackEvent) -> None:
    match event:
        case EnvironmentReady():
            _show_environment(session, told, event)
        case EnvironmentFailed():
            _show_findings(session, told, event)
        case _:
            session.show(event)


def _show_environment(session: Session, told: _Told, ready: EnvironmentReady) -> None:
    for line in address_lines(ready.members):
        session.view.message(line)
    if session.is_json:
        event = {"event": "environment", "project": ready.project, "variables": ready.variables}
        session.out.line(json.dumps(event))
    if told.print_env is not None:
        is_json = told.print_env == "json"
        session.out.stream.write(as_json(ready.variables) if is_json else dotenv(ready.variables))
        session.out.stream.flush()


def address_lines(members: Iterable[Member]) -> Iterator[str]:
    """`  db:5432  127.0.0.1:20012`, one below the other."""
    found = [(member.service, address) for member in members for address in member.ports]
    rows = [
        (f"{service}:{each.container_port}" + f"/{each.protocol}".removesuffix("/tcp"), each.text)
        for service, each in found
    ]
    width = max((len(port) for port, _ in rows), default=0)
    yield from (f"  {port:<{width}}  {text}" for port, text in rows)


def _show_findings(session: Session, told: _Told, failed: EnvironmentFailed) -> None:
    findings = failed.findings
    lines = list(findings_lines(findings, session.err.paint, artifacts=failed.artifacts))
    if told.is_github:
        lines = [*without_commands(lines), *error_commands(findings)]
    for line in lines:
        session.err.line(line)
    if session.is_json:
        session.out.line(json.dumps(findings_json(findings)))


def _kind(text: str | None) -> str | None:
    return None if text is None else check_choice("--print-env", text, ("dotenv", "json"))


def _is_github(text: str | None) -> bool:
    if text is None:
        return os.environ.get("GITHUB_ACTIONS") == "true"
    return check_choice("--format", text, ("text", "github")) == "github"


def check_command(options: EnvironmentOptions) -> None:
    """Raises InvalidArgument for options that make no sense together."""
    if not options.command and not options.keep:
        raise InvalidArgument(
            "test: a command is expected: stackr test [OPTIONS] -- COMMAND [ARG]...",
            hint="without a command, --keep leaves the environment up for you",
        )
    if not options.command and options.timeout_s is not None:
        raise InvalidArgument("test: --timeout needs a command")


def fixed_ports(texts: Sequence[str]) -> frozenset[tuple[str, int]]:
    """`["web:80"]` as `{("web", 80)}`. Raises InvalidArgument."""
    ports = set()
    for text in texts:
        service, _, number = text.rpartition(":")
        port = whole_number(number, most=_MOST_PORT)
        if not service or port is None:
            raise InvalidArgument(
                f'--fixed-port: "{text}": SERVICE:PORT is expected, PORT in the container'
            )
        ports.add((service, port))
    return frozenset(ports)
