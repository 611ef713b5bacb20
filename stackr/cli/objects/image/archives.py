"""Images as tar archives: `save`, `load` and `import`.

Source: docker/cli, cli/command/image/save.go, load.go, import.go.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, Json, on_engine, path
from stackr.cli.objects.image.platform import PLATFORM, platform_query
from stackr.cli.objects.progress import show_progress
from stackr.cli.tar_output import refuse_terminal, to_output
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.registry.reference import parse_reference

__all__ = ["import_", "load", "save"]

_CHUNK = 1 << 18
_SINCE = (1, 48)  # that archives of some platforms are written and taken


@dataclass(frozen=True, slots=True)
class SaveArguments:
    """`stackr image save`."""

    images: Annotated[tuple[str, ...], Argument("IMAGE...")]
    output: Annotated[str, Option("--output", "-o", metavar="PATH", help="Write to a file")] = ""
    platform: Annotated[str, PLATFORM] = ""


@dataclass(frozen=True, slots=True)
class LoadArguments:
    """`stackr image load`."""

    source: Annotated[
        str, Option("--input", "-i", metavar="PATH", help="Read a file, not stdin")
    ] = ""
    platform: Annotated[str, PLATFORM] = ""
    quiet: Annotated[bool, Option("--quiet", "-q", help="Do not show how far it is")] = False


@dataclass(frozen=True, slots=True)
class ImportArguments:
    """`stackr image import`."""

    source: Annotated[str, Argument("FILE|URL|-")]
    image: Annotated[str, Argument("[REPOSITORY[:TAG]]")] = ""
    changes: Annotated[
        tuple[str, ...],
        Option("--change", "-c", metavar="TEXT", help='A Dockerfile instruction: "ENV A=b"'),
    ] = ()
    message: Annotated[
        str, Option("--message", "-m", metavar="TEXT", help="A message that says why")
    ] = ""
    platform: Annotated[str, PLATFORM] = ""


@takes(SaveArguments)
def save(ctx: typer.Context, arguments: SaveArguments) -> None:
    """Write images as a tar archive, with all that they are made of."""
    refuse_terminal(arguments.output)

    async def work(call: Call) -> None:
        images = arguments.images
        is_one = len(images) == 1
        where = f"/images{path(*images[0].split('/'))}/get" if is_one else "/images/get"
        query: Json = {} if is_one else {"names": images}
        query |= await platform_query(call, arguments.platform, since=_SINCE)
        async with call.runtime.request_stream("GET", where, query=query) as chunks:
            await to_output(chunks, arguments.output, "failed to save image")

    on_engine(ctx, work, read_only=True)


@takes(LoadArguments)
def load(ctx: typer.Context, arguments: LoadArguments) -> None:
    """Take the images of a tar archive of `save`."""
    if not arguments.source and sys.stdin.isatty():
        raise InvalidArgument("requested load from stdin, but stdin is empty")
    with _opened(arguments.source or "-") as file:

        async def work(call: Call) -> None:
            query: Json = {"quiet": arguments.quiet or not sys.stdout.isatty()}
            query |= await platform_query(call, arguments.platform, since=_SINCE)
            async with call.runtime.request_stream(
                "POST", "/images/load", query=query, body=_chunks(file)
            ) as chunks:
                await show_progress(call.runtime.json_lines(chunks, "/images/load"), sys.stdout)

        on_engine(ctx, work)


@takes(ImportArguments)
def import_(ctx: typer.Context, arguments: ImportArguments) -> None:
    """Make an image of a tar archive of a file system."""
    name = parse_reference(arguments.image) if arguments.image else None
    is_url = arguments.source.startswith(("http://", "https://"))
    query = {
        "fromSrc": arguments.source if is_url else "-",
        "repo": name.familiar_name if name else None,
        "tag": name.tag if name else None,
        "message": arguments.message or None,
        "changes": arguments.changes,
        "platform": arguments.platform or None,
    }

    async def work(call: Call, body: object = None) -> None:
        where = "/images/create"
        async with call.runtime.request_stream("POST", where, query=query, body=body) as chunks:
            await show_progress(call.runtime.json_lines(chunks, where), sys.stdout)

    if is_url:
        on_engine(ctx, work)
        return
    with _opened(arguments.source) as file:
        on_engine(ctx, lambda call: work(call, _chunks(file)))


def _opened(name: str) -> IO[bytes]:
    """Raises InvalidArgument for a file that cannot be read."""
    if name == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return Path(name).open("rb")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"open {name}: {why}") from error


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while data := await asyncio.to_thread(file.read, _CHUNK):
        yield data
