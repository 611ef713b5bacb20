"""`stackr diff`: what `up` would do, field by field; nothing is changed.

With `--base`, what the change of the file itself does: no engine is asked, and no root needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import Targets, check_choice, parse_pull, parse_scale, split_targets
from stackr.cli.flags import NoDeps, RecreateDependencies, RenewAnonymousVolumes, Scale, Words, Yes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.errors import InvalidArgument
from stackr.planner.options import UpOptions
from stackr.stack.diff import plan_against_base, plan_against_revision
from stackr.stack.planning import desire, for_readers, foresee_up
from stackr.stack.saved import save_plan

__all__ = ["diff"]

_CHANGES = 2
_FORMS = ("text", "json", "markdown", "github")


@dataclass(frozen=True, slots=True)
class DiffArguments:
    """What `diff` was asked for. base: the other version of the file; revision: the other version
    by its number in the history; None of both for the live engine.
    """

    targets: Targets = field(default_factory=Targets)
    form: str = "text"
    detail: bool = False
    exit_code: bool = False
    base: str | None = None
    revision: int | None = None
    out: str | None = None

    def __post_init__(self) -> None:
        check_choice("--format", self.form, _FORMS)
        if self.base is not None and self.revision is not None:
            raise InvalidArgument("--base and --revision: only one of them can be given")
        if self.out is not None and (self.base is not None or self.revision is not None):
            raise InvalidArgument("--out: only a plan for the engine can be saved and applied")


def diff(
    ctx: typer.Context,
    words: Words = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="REV", help="Compare with a git revision, a file or a folder instead"
        ),
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option("--revision", metavar="NUM", help="Compare with a revision of the history"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="PATH", help="Save the plan, for stackr apply"),
    ] = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", "--detailed-exitcode", help="Exit with 2 if anything changes"),
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", metavar="KIND", help="text, json, markdown or github")
    ] = "text",
    detail: Annotated[
        bool, typer.Option("--detail", help="All of what is created, and every operation")
    ] = False,
    scale: Scale = None,
    remove_orphans: Annotated[
        bool, typer.Option("--remove-orphans", help="As up --remove-orphans would")
    ] = False,
    pull: Annotated[
        str | None, typer.Option("--pull", metavar="POLICY", help="As up --pull would")
    ] = None,
    force_recreate: Annotated[
        bool, typer.Option("--force-recreate", help="As up --force-recreate would")
    ] = False,
    no_recreate: Annotated[
        bool, typer.Option("--no-recreate", help="As up --no-recreate would")
    ] = False,
    always_recreate_deps: RecreateDependencies = False,
    renew_anon_volumes: RenewAnonymousVolumes = False,
    yes: Yes = False,
    no_deps: NoDeps = False,
) -> int:
    """Show what up would change: each resource, each field, and why."""
    for other, is_given in (
        ("--force-recreate", force_recreate),
        ("--always-recreate-deps", always_recreate_deps),
        ("--renew-anon-volumes", renew_anon_volumes),
    ):
        if is_given and no_recreate:
            raise InvalidArgument(f"{other} and --no-recreate: only one of them can be given")
    options = options_of(ctx)
    arguments = DiffArguments(
        targets=split_targets(words),
        form="json" if options.json else format_,
        detail=detail,
        exit_code=exit_code,
        base=base,
        revision=revision,
        out=out,
    )
    up_options = UpOptions(
        services=arguments.targets.services,
        no_deps=no_deps,
        scale=parse_scale(scale),
        recreate="force" if force_recreate else ("never" if no_recreate else "diverged"),
        recreate_dependencies=always_recreate_deps,
        renew_anonymous_volumes=renew_anon_volumes,
        recreate_volumes=yes,
        remove_orphans=remove_orphans,
        pull=parse_pull(pull),
    )
    with open_session(options) as session:
        return _diff(session, arguments, up_options)


def _diff(session: Session, arguments: DiffArguments, up_options: UpOptions) -> int:
    targets = arguments.targets
    source = source_of(session.options, targets.files)
    project = source.load(targets.services)
    wanted = desire(
        project,
        up_options,
        engine=session.options.engine,
        all_resources=session.options.all_resources,
    )
    engine = session.options.engine
    if arguments.base is not None:
        plan = plan_against_base(arguments.base, source, project, wanted, up_options, engine)
    elif (number := arguments.revision) is not None:
        plan = session.on_engine(
            lambda runtime: plan_against_revision(runtime, number, wanted, up_options, engine),
            read_only=True,
        )
    else:
        plan, observed = session.on_engine(
            lambda runtime: foresee_up(runtime, wanted, up_options), read_only=True
        )
        if arguments.out is not None:
            save_plan(arguments.out, plan, wanted, observed, up_options, source)
    plan = for_readers(plan, wanted, project, detail=arguments.detail)
    session.show_plan(plan, arguments.form, detail=arguments.detail)
    if plan.is_refused:
        return 1
    return _CHANGES if arguments.exit_code and (plan.changes or plan.operations) else 0
