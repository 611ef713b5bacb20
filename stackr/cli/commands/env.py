"""`stackr env`: where the stack's ports answer, as variables for a shell, a file or a program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.errors import NotFound
from stackr.stack.containers import list_containers
from stackr.stack.isolation import VARIABLE
from stackr.stack.testenv.handover import as_json, environment_of, member_of
from stackr.stack.testenv.variables import dotenv

__all__ = ["env"]


@dataclass(frozen=True, slots=True)
class EnvArguments:
    """`stackr env`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)


@takes(EnvArguments)
def env(ctx: typer.Context, arguments: EnvArguments) -> None:
    """Print where the stack's ports answer, as variables: NAME=value."""
    options, targets = options_of(ctx), arguments.targets
    source = source_of(options, targets.files)
    source.check_services(targets.services)
    copy = source.copy()
    name = copy.project if copy is not None else source.name()
    schemes = source.schemes()
    with open_session(options) as session:
        listed = session.look(lambda runtime: list_containers(runtime, name, targets.services))
        if not listed:
            raise NotFound(
                f'no container of project "{name}" is running', hint="stackr up -d starts it"
            )
        members = [
            member_of(each, lambda *port: schemes.get(port, ""), options.engine) for each in listed
        ]
        values, unclear = environment_of(name, members)
        for each in unclear:
            session.view.warning(f"{each} would mean several ports, and is left out")
        if copy is not None:
            values[VARIABLE] = copy.name
        session.out.stream.write(as_json(values) if options.json else dotenv(values))
        session.out.stream.flush()
