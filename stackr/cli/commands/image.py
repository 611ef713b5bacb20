"""`stackr image`: what the engine keeps of images beyond those of a stack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.views.units import size
from stackr.errors import InvalidArgument
from stackr.spec.units import parse_size
from stackr.stack.build_cache import prune_build_cache

__all__ = ["image"]

image = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Remove what the engine keeps of builds.",
)


@image.callback()
def _image() -> None:
    """So that `prune` is a word of its own: a lone command would have none."""


@image.command()
def prune(
    ctx: typer.Context,
    build_cache: Annotated[
        bool, typer.Option("--build-cache", help="What the steps of builds have made")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", "-a", help="Also what is part of an image that is here")
    ] = False,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="until=TIME", help="Only what was not used since"),
    ] = None,
    keep_storage: Annotated[
        str | None,
        typer.Option("--keep-storage", metavar="BYTES", help="Leave so much, the last used"),
    ] = None,
) -> None:
    """Remove the build cache, which all projects share; images and containers stay."""
    options = options_of(ctx)
    if not build_cache:
        raise InvalidArgument("image prune: --build-cache is needed: it removes nothing else")
    until, keep = _until(filter_ or ()), _bytes(keep_storage)
    with open_session(options) as session:
        pruned = session.on_engine(
            lambda runtime: prune_build_cache(runtime, all=all_, until=until, keep_bytes=keep)
        )
        if options.json:
            found = {"deleted": list(pruned.records), "reclaimed_bytes": pruned.size_bytes}
            session.out.line(json.dumps(found))
            return
        for record in pruned.records:
            session.out.line(record)
        session.out.line(f"Total reclaimed space: {size(pruned.size_bytes)}")


def _until(texts: Sequence[str]) -> str:
    """Of the filters, which this is the only one of."""
    values = []
    for text in texts:
        key, equals, value = text.partition("=")
        if key != "until" or not equals or not value:
            raise InvalidArgument(f'--filter: "{text}": until=TIME or until=AGE is expected')
        values.append(value)
    if len(values) > 1:
        raise InvalidArgument("--filter: more than one until")
    return values[0] if values else ""


def _bytes(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidArgument(f"--keep-storage: {error}") from error
