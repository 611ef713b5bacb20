"""`stackr ps`: the project's containers, as the engine sees them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from stackr.cli.arguments import check_choice, split_targets
from stackr.cli.options import options_of
from stackr.cli.project import check_services, project_name
from stackr.cli.session import Session, open_session
from stackr.runtime import labels

if TYPE_CHECKING:
    from stackr.runtime.protocol import Runtime
    from stackr.runtime.types import ContainerState

__all__ = ["ps"]

_STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")


def ps(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE] [SERVICE]...", show_default=False)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Stopped containers as well")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only IDs")] = False,
    services: Annotated[bool, typer.Option("--services", help="Only services' names")] = False,
    format_: Annotated[
        str, typer.Option("--format", metavar="KIND", help="table or json")
    ] = "table",
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATE", help="Only containers in this state"),
    ] = None,
) -> None:
    """List the stack's containers."""
    options = options_of(ctx)
    kind = check_choice("--format", "json" if options.json else format_, ("table", "json"))
    states = [check_choice("--status", state, _STATES) for state in status or ()]
    targets = split_targets(words)
    name = project_name(options, targets.files)
    if targets.services:
        check_services(options, targets)
    with open_session(options) as session:
        containers = session.on_engine(
            lambda runtime: _containers(runtime, name, targets.services, oneoff=all_)
        )
        if states:
            containers = [container for container in containers if container.state in states]
        elif not all_:
            containers = [container for container in containers if container.is_running]
        if quiet:
            _write(session, [container.id for container in containers])
        elif services:
            names = dict.fromkeys(c.labels.get(labels.SERVICE, "") for c in containers)
            _write(session, list(names))
        else:
            _write(session, _lines(containers, kind))


async def _containers(
    runtime: Runtime, project: str, services: tuple[str, ...], *, oneoff: bool
) -> list[ContainerState]:
    from stackr.cli.logs import project_containers

    listed = await project_containers(runtime, project, services, oneoff=oneoff)
    return sorted(
        await asyncio.gather(*(_with_exit_code(runtime, container) for container in listed)),
        key=lambda container: container.name,
    )


async def _with_exit_code(runtime: Runtime, container: ContainerState) -> ContainerState:
    """The container; inspected if the listing does not say how it ended."""
    if container.state != "exited" or container.exit_code is not None:
        return container
    from dataclasses import replace

    inspected = await runtime.inspect_container(container.id)
    return replace(container, exit_code=inspected.exit_code)


def _lines(containers: list[ContainerState], kind: str) -> list[str]:
    from stackr.cli.views.listing import container_json, containers_table

    now = time.time()
    if kind == "json":
        return [container_json(container, now=now) for container in containers]
    return containers_table(containers, now=now)


def _write(session: Session, lines: list[str]) -> None:
    for line in lines:
        session.out.line(line)
