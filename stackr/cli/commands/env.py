"""`stackr env`: where the stack's ports answer, as variables for a shell, a file or a program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.errors import NotFound
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import list_containers
from stackr.stack.isolation import VARIABLE
from stackr.stack.testenv.handover import as_json, environment_of, member_of
from stackr.stack.testenv.variables import Member, dotenv
from stackr.stack.workloads.members import members_of

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

    def scheme_of(service: str, port: int) -> str:
        return schemes.get((service, port), "")

    async def of_host(runtime: Runtime) -> list[Member]:
        listed = await list_containers(runtime, name, targets.services)
        return [member_of(each, scheme_of, options.engine) for each in listed]

    async def of_cluster(cluster: Workloads) -> list[Member]:
        return await members_of(cluster, name, targets.services, scheme_of=scheme_of)

    with open_session(options) as session:
        members = session.look(of_host, cluster=OnCluster(name, of_cluster))
        if not members:
            raise NotFound(
                f'no container of project "{name}" is running', hint="stackr up -d starts it"
            )
        values, unclear = environment_of(name, members)
        for each in unclear:
            session.view.warning(f"{each} would mean several ports, and is left out")
        if copy is not None:
            values[VARIABLE] = copy.name
        session.out.stream.write(as_json(values) if options.json else dotenv(values))
        session.out.stream.flush()
