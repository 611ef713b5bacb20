"""`stackr diff`: what `up` would do, field by field; nothing is changed.

With `--base`, what the change of the file itself does: no engine is asked, and no root needed. With
`--to`, what the file means on another kind of engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, check_choice
from stackr.cli.declared import Group, Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.views.places import Places
from stackr.errors import InvalidArgument
from stackr.options import Option, check_conflicts
from stackr.planner.desired.project import Desired
from stackr.planner.plan.model import Kind, Plan
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.stack.address import dialect_named
from stackr.stack.diff import plan_against_base, plan_against_revision
from stackr.stack.planning import desire, for_readers, foresee_up
from stackr.stack.repository import checkout_of
from stackr.stack.saved import save_document_plan, save_plan
from stackr.stack.source import Source
from stackr.stack.workloads.converge import foresee_cluster, up_goal
from stackr.stack.workloads.diff import documents_against_base, documents_against_revision

__all__ = ["diff"]

_CHANGES = 2
_FORMS = ("text", "json", "markdown", "github")
_PLACED = ("markdown", "github")
"""Forms that name places as the repository's host does."""


@dataclass(frozen=True, slots=True)
class DiffArguments:
    """What `diff` was asked for. base: the other version of the file; revision: the other version
    by its number in the history; None of both for the live engine.
    """

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    base: Annotated[
        str | None,
        Option(
            "--base",
            metavar="REV",
            help="Compare with a git revision (REV... for the merge base), a file or a folder",
        ),
    ] = None
    revision: Annotated[
        int | None,
        Option("--revision", metavar="NUM", help="Compare with a revision of the history"),
    ] = None
    to: Annotated[
        str | None,
        Option(
            "--to",
            metavar="ENGINE",
            help="Tell what each attribute means there: swarm, docker, embedded or an address",
        ),
    ] = None
    out: Annotated[
        str | None, Option("--out", metavar="PATH", help="Save the plan, for stackr apply")
    ] = None
    exit_code: Annotated[
        bool, Option("--exit-code", "--detailed-exitcode", help="Exit with 2 if anything changes")
    ] = False
    form: Annotated[
        str, Option("--format", metavar="KIND", help="text, json, markdown or github")
    ] = "text"
    detail: Annotated[
        bool, Option("--detail", help="Show all of what is created, and every operation")
    ] = False
    options: Annotated[
        UpOptions,
        Group(
            (
                *("scale", "remove_orphans", "pull", "recreate", "recreate_dependencies"),
                *("renew_anonymous_volumes", "recreate_volumes", "no_deps", "build"),
            ),
            {
                f"--{name}": f"As up --{name} would"
                for name in (
                    *("remove-orphans", "pull", "force-recreate", "no-recreate"),
                    *("build", "no-build"),
                )
            },
        ),
    ] = field(default_factory=UpOptions)

    def __post_init__(self) -> None:
        check_choice("--format", self.form, _FORMS)
        others = (("--to", each) for each in ("--base", "--revision", "--out"))
        check_conflicts(self, ("--base", "--revision"), *others, *UpOptions.CONFLICTS)
        if self.to is not None and self.form in _PLACED:
            raise InvalidArgument(f"--to: text or json, not {self.form}")
        if self.out is not None and (self.base is not None or self.revision is not None):
            raise InvalidArgument("--out: only a plan for the engine can be saved and applied")


@takes(DiffArguments)
def diff(ctx: typer.Context, arguments: DiffArguments) -> int:
    """Show what up would change: each resource, each field, and why."""
    options = options_of(ctx)
    arguments = replace(arguments, form="json") if options.json else arguments
    up_options = replace(arguments.options, services=arguments.targets.services)
    with open_session(options) as session:
        return _diff(session, arguments, up_options)


def _diff(session: Session, arguments: DiffArguments, up_options: UpOptions) -> int:
    targets, engine = arguments.targets, session.options.engine
    source = source_of(session.options, targets.files)
    project = source.load(targets.services)
    if arguments.to is not None:
        return _compared(session, project, arguments, arguments.to)
    if arguments.base is not None and (dialect := dialect_named(engine)):
        plan = documents_against_base(
            arguments.base, source, project, up_options, dialect, detail=arguments.detail
        )
        return _shown(session, arguments, project, plan)
    wanted = session.prepared(
        lambda: desire(
            project, up_options, engine=engine, all_resources=session.options.all_resources
        )
    )
    if arguments.base is not None:
        plan = plan_against_base(arguments.base, source, project, wanted(), up_options, engine)
        plan = for_readers(plan, wanted(), project, detail=arguments.detail)
        return _shown(session, arguments, project, plan)
    plan = session.on_engine(
        lambda runtime: _foreseen(
            runtime, arguments, source, project, wanted(), up_options, engine
        ),
        cluster=OnCluster(
            project.name,
            lambda cluster: _on_cluster(cluster, arguments, source, project, up_options),
            observes=True,
        ),
        read_only=True,
    )
    return _shown(session, arguments, project, plan)


async def _foreseen(
    runtime: Runtime,
    arguments: DiffArguments,
    source: Source,
    project: Project,
    wanted: Desired,
    up_options: UpOptions,
    engine: str | None,
) -> Plan:
    if (number := arguments.revision) is not None:
        plan = await plan_against_revision(runtime, number, wanted, up_options, engine)
    else:
        plan, observed = await foresee_up(runtime, wanted, up_options)
        if arguments.out is not None:
            save_plan(arguments.out, plan, wanted, observed, up_options, source)
    return for_readers(plan, wanted, project, detail=arguments.detail)


async def _on_cluster(
    cluster: Workloads,
    arguments: DiffArguments,
    source: Source,
    project: Project,
    up_options: UpOptions,
) -> Plan:
    goal = up_goal(cluster, project, up_options)
    if (number := arguments.revision) is not None:
        return await documents_against_revision(cluster, goal, number, detail=arguments.detail)
    plan, seen = await foresee_cluster(cluster, goal, detail=arguments.detail)
    if arguments.out is not None:
        save_document_plan(arguments.out, plan, seen, up_options, source)
    return plan


def _shown(session: Session, arguments: DiffArguments, project: Project, plan: Plan) -> int:
    places = _places(project.working_dir) if arguments.form in _PLACED else Places()
    session.show_plan(plan, arguments.form, detail=arguments.detail, places=places)
    if plan.is_refused:
        return 1
    return _CHANGES if arguments.exit_code and _is_changed(plan, arguments) else 0


def _compared(session: Session, project: Project, arguments: DiffArguments, to: str) -> int:
    # The dialects of all engines, which nobody else who looks at one host needs.
    from stackr.cli.compared import show_comparison

    is_same = show_comparison(session, project, to, form=arguments.form, detail=arguments.detail)
    return _CHANGES if arguments.exit_code and not is_same else 0


def _is_changed(plan: Plan, arguments: DiffArguments) -> bool:
    """An orphan that stays is a difference between two files, and nothing that an `up` does."""
    if arguments.base is not None and plan.changes:
        return True
    return bool(plan.operations) or any(each.kind is not Kind.ORPHAN for each in plan.changes)


def _places(folder: str) -> Places:
    checkout = checkout_of(folder)
    return Places.of(checkout.root, checkout.revision, checkout.remote)
