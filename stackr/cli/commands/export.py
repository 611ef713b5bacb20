"""`stackr export`: a container's file system as a tar archive, to a file or to stdout."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.options import options_of
from stackr.cli.replica import on_replica
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.tar_output import to_file, to_stdout
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option
from stackr.runtime.protocol import Runtime, SupportsFiles
from stackr.runtime.types import ContainerState

__all__ = ["export"]


@dataclass(frozen=True, slots=True)
class ExportArguments:
    """`stackr export`. index: of the replica. output: the file to write, None for stdout."""

    service: Annotated[str, Argument("SERVICE")]
    index: Annotated[int | None, Option("--index", metavar="NUM", help="Which replica")] = None
    output: Annotated[
        str | None, Option("--output", "-o", metavar="PATH", help="Write to a file")
    ] = None


@takes(ExportArguments)
def export(ctx: typer.Context, arguments: ExportArguments) -> None:
    """Write a container's file system as a tar archive, without its volumes."""
    options = options_of(ctx)
    if arguments.output is None and sys.stdout.isatty() and not options.dry_run:
        raise InvalidArgument("export: stdout is a terminal", hint="name a file with --output")
    source = source_of(options)
    name = source.name()
    source.check_services((arguments.service,))
    with open_session(options) as session:
        on_replica(
            session,
            name,
            arguments.service,
            arguments.index,
            lambda runtime, container: _export(session, runtime, container, arguments),
        )


async def _export(
    session: Session, runtime: Runtime, container: ContainerState, arguments: ExportArguments
) -> None:
    if not isinstance(runtime, SupportsFiles):
        raise NotSupported("export: this engine does not offer it")
    output = arguments.output
    if session.is_dry_run:
        session.would(f"export {container.name} to {output or 'stdout'}")
    elif output is None:
        await to_stdout(runtime.export(container.id))
    else:
        await to_file(runtime.export(container.id), Path(output), "export")
        session.view.message(f" {container.name}  Exported to {output}")
