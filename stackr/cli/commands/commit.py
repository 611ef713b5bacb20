"""`stackr commit`: an image of what a container has become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.options import options_of
from stackr.cli.replica import on_replica
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.errors import NotSupported
from stackr.options import Option
from stackr.runtime.protocol import Runtime, SupportsFiles
from stackr.runtime.types import ContainerState

__all__ = ["commit"]


@dataclass(frozen=True, slots=True)
class CommitArguments:
    """`stackr commit`. image: `REPOSITORY[:TAG]`, or "" for none."""

    service: Annotated[str, Argument("SERVICE")]
    image: Annotated[str, Argument("[REPOSITORY[:TAG]]")] = ""
    author: Annotated[str, Option("--author", "-a", metavar="TEXT", help="Who made it")] = ""
    message: Annotated[
        str, Option("--message", "-m", metavar="TEXT", help="A message that says why")
    ] = ""
    changes: Annotated[
        tuple[str, ...],
        Option("--change", "-c", metavar="TEXT", help='A Dockerfile instruction: "ENV A=b"'),
    ] = ()
    pause: Annotated[
        bool, Option("--pause/--no-pause", "-p", help="Pause it meanwhile (default)")
    ] = True
    index: Annotated[int | None, Option("--index", metavar="NUM", help="Which replica")] = None

    @property
    def repository_and_tag(self) -> tuple[str, str]:
        """A colon behind the last slash is before a tag; one in front of it, before a port."""
        repository, colon, tag = self.image.rpartition(":")
        return (repository, tag) if colon and "/" not in tag else (self.image, "")


@takes(CommitArguments)
def commit(ctx: typer.Context, arguments: CommitArguments) -> None:
    """Make an image of a container: its image's layers, and what it has changed."""
    options = options_of(ctx)
    source = source_of(options)
    name = source.name()
    source.check_services((arguments.service,))
    with open_session(options) as session:
        on_replica(
            session,
            name,
            arguments.service,
            arguments.index,
            lambda runtime, container: _commit(session, runtime, container, arguments),
        )


async def _commit(
    session: Session, runtime: Runtime, container: ContainerState, arguments: CommitArguments
) -> None:
    if not isinstance(runtime, SupportsFiles):
        raise NotSupported("commit: this engine does not offer it")
    if session.is_dry_run:
        session.would(f"commit {container.name} as {arguments.image or 'an image without a name'}")
        return
    session.view.message(f" {container.name}  Committing")
    repository, tag = arguments.repository_and_tag
    image_id = await runtime.commit(
        container.id,
        repository=repository,
        tag=tag,
        author=arguments.author,
        message=arguments.message,
        changes=arguments.changes,
        pause=arguments.pause,
    )
    session.view.message(f" {container.name}  Committed as {image_id}")
