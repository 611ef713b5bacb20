"""`stackr commit`: an image of what a container has become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.flags import Index
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.errors import NotSupported
from stackr.runtime.protocol import Runtime, SupportsFiles
from stackr.stack.replica import find_replica

__all__ = ["commit"]


@dataclass(frozen=True, slots=True)
class _Arguments:
    """`stackr commit`. image: `REPOSITORY[:TAG]`, or "" for none."""

    service: str
    image: str = ""
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    pause: bool = True
    index: int | None = None

    @property
    def repository_and_tag(self) -> tuple[str, str]:
        """A colon behind the last slash is before a tag; one in front of it, before a port."""
        repository, colon, tag = self.image.rpartition(":")
        return (repository, tag) if colon and "/" not in tag else (self.image, "")


def commit(
    ctx: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    image: Annotated[str, typer.Argument(metavar="[REPOSITORY[:TAG]]", show_default=False)] = "",
    author: Annotated[str, typer.Option("--author", "-a", metavar="TEXT", help="Who made it")] = "",
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What for")] = "",
    change: Annotated[
        list[str] | None,
        typer.Option("--change", "-c", metavar="TEXT", help='A Dockerfile instruction: "ENV A=b"'),
    ] = None,
    pause: Annotated[
        bool,
        typer.Option(
            "--pause/--no-pause", "-p", show_default=False, help="Freeze it meanwhile (default)"
        ),
    ] = True,
    index: Index = None,
) -> None:
    """Make an image of a container: its image's layers, and what it has changed."""
    options = options_of(ctx)
    arguments = _Arguments(
        service,
        image,
        author=author,
        message=message,
        changes=tuple(change or ()),
        pause=pause,
        index=index,
    )
    source = source_of(options)
    name = source.name()
    source.check_services((service,))
    with open_session(options) as session:
        session.on_engine(lambda runtime: _commit(session, runtime, name, arguments))


async def _commit(session: Session, runtime: Runtime, project: str, arguments: _Arguments) -> None:
    if not isinstance(runtime, SupportsFiles):
        raise NotSupported("commit: this engine does not offer it")
    container = await find_replica(runtime, project, arguments.service, arguments.index)
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
