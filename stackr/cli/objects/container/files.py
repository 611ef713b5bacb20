"""A container's files: copied, exported, compared with its image's, and made an image of.

Source: docker/cli, cli/command/container.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.commands.cp import CpArguments, Place, copy
from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, on_engine, path
from stackr.cli.tar_output import refuse_terminal, to_output
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.registry.reference import parse_reference

__all__ = ["commit", "cp", "diff", "export"]

_CHANGES = {0: "C", 1: "A", 2: "D"}


@dataclass(frozen=True, slots=True)
class CopyArguments:
    """`stackr container cp`."""

    source: Annotated[str, Argument("[CONTAINER:]SOURCE")]
    target: Annotated[str, Argument("[CONTAINER:]TARGET")]
    archive: Annotated[
        bool, Option("--archive", "-a", help="What is copied belongs to the container's user")
    ] = False
    follow_link: Annotated[
        bool, Option("--follow-link", "-L", help="Copy what a symlink SOURCE leads to")
    ] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Do not show what was copied")] = False


@dataclass(frozen=True, slots=True)
class OneContainer:
    """Nothing but a container."""

    name: Annotated[str, Argument("CONTAINER")]


@dataclass(frozen=True, slots=True)
class ExportArguments:
    """`stackr container export`."""

    name: Annotated[str, Argument("CONTAINER")]
    output: Annotated[str, Option("--output", "-o", metavar="PATH", help="Write to a file")] = ""


@dataclass(frozen=True, slots=True)
class CommitArguments:
    """`stackr container commit`."""

    name: Annotated[str, Argument("CONTAINER")]
    image: Annotated[str, Argument("[REPOSITORY[:TAG]]")] = ""
    author: Annotated[str, Option("--author", "-a", metavar="TEXT", help="Who made it")] = ""
    changes: Annotated[
        tuple[str, ...],
        Option("--change", "-c", metavar="TEXT", help='A Dockerfile instruction: "ENV A=b"'),
    ] = ()
    message: Annotated[
        str, Option("--message", "-m", metavar="TEXT", help="A message that says why")
    ] = ""
    pause: Annotated[
        bool, Option("--pause/--no-pause", "-p", help="Pause it meanwhile (default)")
    ] = True


@takes(CopyArguments)
def cp(ctx: typer.Context, arguments: CopyArguments) -> None:
    """Copy files: CONTAINER:PATH to a local path or "-", or the other way round."""
    source, target = Place.parse(arguments.source), Place.parse(arguments.target)
    if source.service and target.service:
        raise InvalidArgument("copying between containers is not supported")
    if not (source.service or target.service):
        raise InvalidArgument("must specify at least one container source")
    wanted = CpArguments(
        source,
        target,
        as_user=arguments.archive,
        follows_link=arguments.follow_link,
    )

    async def work(call: Call) -> None:
        container = await call.runtime.inspect_container(wanted.service)
        is_silent = arguments.quiet or target.path == "-" or not sys.stdout.isatty()
        session = call.session.silent() if is_silent else call.session
        await copy(session, call.runtime, container, wanted)

    on_engine(ctx, work)


@takes(OneContainer)
def diff(ctx: typer.Context, arguments: OneContainer) -> None:
    """List what a container has added (A), changed (C) and deleted (D) in its image's files."""

    async def work(call: Call) -> None:
        found = await call.get(path("containers", arguments.name, "changes")) or []
        for change in sorted(found, key=lambda each: str(each["Path"])):
            call.line(f"{_CHANGES[change['Kind']]} {change['Path']}")

    on_engine(ctx, work, read_only=True)


@takes(ExportArguments)
def export(ctx: typer.Context, arguments: ExportArguments) -> None:
    """Write a container's file system as a tar archive, without its volumes."""
    refuse_terminal(arguments.output)

    async def work(call: Call) -> None:
        chunks = call.runtime.export(arguments.name)
        await to_output(chunks, arguments.output, "failed to export container")

    on_engine(ctx, work, read_only=True)


@takes(CommitArguments)
def commit(ctx: typer.Context, arguments: CommitArguments) -> None:
    """Make an image of a container: its image's layers, and what it has changed."""
    name = parse_reference(arguments.image) if arguments.image else None
    if name is not None and name.digest:
        raise InvalidArgument("cannot tag an image with a digest reference")

    async def work(call: Call) -> None:
        call.line(
            await call.runtime.commit(
                arguments.name,
                repository=name.familiar_name if name else "",
                tag=(name.tag or "") if name else "",
                author=arguments.author,
                message=arguments.message,
                changes=arguments.changes,
                pause=arguments.pause,
            )
        )

    on_engine(ctx, work)
