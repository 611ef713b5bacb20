"""`stackr image prune`: images that nothing uses, or what builds have left.

Source: docker/cli, cli/command/image/prune.go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.prompt import FORCE
from stackr.cli.objects.prune import prune_images
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.views.units import size
from stackr.errors import InvalidArgument
from stackr.options import Option, check_conflicts
from stackr.spec.units import parse_size
from stackr.stack.build_cache import prune_build_cache

__all__ = ["prune"]


@dataclass(frozen=True, slots=True)
class PruneArguments:
    """`stackr image prune`."""

    build_cache: Annotated[
        bool, Option("--build-cache", help="What the steps of builds have made, and no image")
    ] = False
    all: Annotated[
        bool, Option("--all", "-a", help="All that no container uses; of builds, what images use")
    ] = False
    filters: Annotated[
        tuple[str, ...],
        Option("--filter", metavar="KEY=VALUE", help="Only what it holds for: until=72h"),
    ] = ()
    force: Annotated[bool, FORCE] = False
    keep_storage: Annotated[
        str,
        Option("--keep-storage", metavar="BYTES", help="Leave so much of builds, the last used"),
    ] = ""

    def __post_init__(self) -> None:
        check_conflicts(self, ("--build-cache", "--force"))


@takes(PruneArguments)
def prune(ctx: typer.Context, arguments: PruneArguments) -> None:
    """Remove the images without a name that no container uses, or the build cache.

    The build cache is one of all projects; images and containers stay then.
    """
    if arguments.build_cache:
        _prune_build_cache(ctx, arguments)
        return
    if arguments.keep_storage:
        raise InvalidArgument("image prune: --keep-storage is for --build-cache")
    prune_images(ctx, all=arguments.all, texts=arguments.filters, force=arguments.force)


def _prune_build_cache(ctx: typer.Context, arguments: PruneArguments) -> None:
    options = options_of(ctx)
    until, keep = _until(arguments.filters), _bytes(arguments.keep_storage)
    with open_session(options) as session:
        pruned = session.on_engine(
            lambda runtime: prune_build_cache(
                runtime, all=arguments.all, until=until, keep_bytes=keep
            )
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


def _bytes(text: str) -> int:
    if not text:
        return 0
    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidArgument(f"--keep-storage: {error}") from error
