"""`stackr history`: the revisions of a stack that its engine keeps; `stackr rollback` to one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from stackr.cli.arguments import check_choice, split_targets
from stackr.cli.options import options_of
from stackr.cli.project import project_name
from stackr.cli.session import Session, open_session
from stackr.errors import InvalidArgument, NotFound
from stackr.runtime import labels

if TYPE_CHECKING:
    from stackr.cli.converge import Goal
    from stackr.planner.options import UpOptions
    from stackr.planner.revision import Revision
    from stackr.runtime.protocol import Runtime

__all__ = ["history", "rollback"]


def history(
    ctx: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[FILE]", show_default=False)] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="KIND", help="table or json")
    ] = "table",
) -> int:
    """List the revisions of the stack that the engine keeps, the newest first."""
    from stackr.cli.history import read_history

    options = options_of(ctx)
    kind = check_choice("--format", "json" if options.json else format_, ("table", "json"))
    name = project_name(options, split_targets(words).files)
    with open_session(options) as session:
        found = session.on_engine(lambda runtime: read_history(runtime, name), read_only=True)
        newest = found[::-1]
        if kind == "json":
            session.out.line(json.dumps([revision.to_json() for revision in newest], indent=2))
            return 0
        for line in _table(newest):
            session.out.line(line)
    return 0


def _table(revisions: Sequence[Revision]) -> list[str]:
    from stackr.cli.views.table import table
    from stackr.cli.views.units import age

    rows = [
        (
            str(revision.number),
            f"{age(time.time() - revision.at)} ago",
            revision.by,
            revision.action,
            revision.status,
            ", ".join(f"{count} to {kind}" for kind, count in revision.summary.items()),
            revision.digest[:12],
        )
        for revision in revisions
    ]
    return table(("REVISION", "WHEN", "BY", "ACTION", "STATUS", "CHANGES", "FILES"), rows)


def rollback(
    ctx: typer.Context,
    number: Annotated[int | None, typer.Argument(metavar="[REVISION]", show_default=False)] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", "-t", metavar="SECONDS", help="For containers to stop"),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all are running or healthy")
    ] = False,
    wait_timeout: Annotated[
        float | None,
        typer.Option("--wait-timeout", metavar="SECONDS", help="How long to wait at most"),
    ] = None,
) -> int:
    """Bring the stack back to an earlier revision: the one before, or REVISION."""
    from stackr.planner.options import UpOptions

    if number is not None and number < 1:
        raise InvalidArgument(f"{number}: a revision's number is expected, from 1")
    options = options_of(ctx)
    name = project_name(options)
    up_options = UpOptions(
        timeout_s=timeout, wait=wait, wait_timeout_s=wait_timeout, remove_orphans=True
    )
    with open_session(options) as session:
        return session.on_engine(
            lambda runtime: _rollback(session, runtime, name, number, up_options)
        )


async def _rollback(
    session: Session,
    runtime: Runtime,
    name: str,
    number: int | None,
    up_options: UpOptions,
) -> int:
    from stackr.cli.converge import converge
    from stackr.cli.history import read_history
    from stackr.planner.revision import find_revision, previous

    revisions = await read_history(runtime, name)
    revision = previous(revisions) if number is None else find_revision(revisions, number)
    goal = await _goal(session, runtime, revision, revisions, up_options)
    if session.is_dry_run:
        from stackr.cli.planning import plan_up

        plan = await plan_up(runtime, goal.wanted, goal.options)
        session.show_plan(plan, "json" if session.is_json else "text")
        return 0
    session.view.message(f"rolling {name} back to revision {revision.number}")
    return await converge(session, runtime, goal)


async def _goal(
    session: Session,
    runtime: Runtime,
    revision: Revision,
    revisions: Sequence[Revision],
    up_options: UpOptions,
) -> Goal:
    """The revision as something to reach: its services, images and replicas.

    Services that later revisions brought are removed; those that stackr never made stay.
    """
    from stackr.cli.converge import Goal
    from stackr.planner.desired import desired
    from stackr.spec.archive import restored

    archive = dict(revision.archive)
    images = await _images(session, runtime, revision)
    archive["services"] = {
        service: {**each, **({"image": images[service]} if service in images else {})}
        for service, each in archive["services"].items()
    }
    project = restored(archive, os.environ)
    scale = {name: n for name, n in revision.replicas.items() if name in project.services}
    options = replace(up_options, scale=scale)
    wanted = desired(project, options)
    brought = {name for each in revisions for name in each.archive.get("services", ())}
    existing = await runtime.list_containers(labels=[f"{labels.PROJECT}={project.name}"])
    strangers = {container.labels.get(labels.SERVICE, "") for container in existing} - brought
    wanted = replace(wanted, known_services=wanted.known_services | strangers)
    return Goal(project, wanted, options, action=f"rollback to {revision.number}")


async def _images(session: Session, runtime: Runtime, revision: Revision) -> dict[str, str]:
    """What to run where a service's reference names another image by now, or none.

    That is the very image by its ID, or, where the engine has it no more, by the digest that a
    registry knows it by.
    """
    chosen: dict[str, str] = {}
    for service, image_id in revision.images.items():
        reference = revision.archive["services"].get(service, {}).get("image", "")
        if await _image_id(runtime, reference) == image_id:
            continue
        if await _image_id(runtime, image_id) == image_id:
            chosen[service] = image_id
        elif service in revision.digests:
            chosen[service] = revision.digests[service]
        else:
            session.view.warning(
                f'service "{service}": the image of revision {revision.number} is not here any '
                f"more: {reference} is taken as it is now"
            )
    return chosen


async def _image_id(runtime: Runtime, reference: str) -> str:
    try:
        return (await runtime.inspect_image(reference)).id if reference else ""
    except NotFound:
        return ""
