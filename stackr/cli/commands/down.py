"""`stackr down`: stop and remove what belongs to the project, found by its labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import Targets
from stackr.cli.declared import Group, Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.planner.desired.project import Desired, desired
from stackr.planner.plan.options import DownOptions
from stackr.spec.model.project import Project
from stackr.stack.down import take_down
from stackr.stack.workloads.converge import take_down_cluster

__all__ = ["down"]


@dataclass(frozen=True, slots=True)
class DownArguments:
    """`stackr down`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    options: Annotated[DownOptions, Group(("volumes", "remove_orphans", "timeout_s", "images"))] = (
        field(default_factory=DownOptions)
    )


@takes(DownArguments)
def down(ctx: typer.Context, arguments: DownArguments) -> int:
    """Stop and remove the stack's containers and networks; volumes only with -v."""
    options, targets = options_of(ctx), arguments.targets
    project = source_of(options, targets.files).find()
    name = project if isinstance(project, str) else project.name
    down_options = replace(arguments.options, services=targets.services)
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: take_down(
                session.context(), runtime, name, _containers(project), down_options
            ),
            cluster=OnCluster(
                name,
                lambda cluster: take_down_cluster(session.context(), cluster, name, down_options),
            ),
        ).exit_code


def _containers(project: Project | str) -> Desired | None:
    """What containers the stack is of, where its file is there."""
    return None if isinstance(project, str) else desired(project)
