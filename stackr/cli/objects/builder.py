"""`stackr builder prune`: what builds have left in the engine, and no image needs.

Source: docker/cli, cli/command/builder/prune.go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.prompt import FORCE, is_confirmed
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.views.units import size
from stackr.errors import InvalidArgument
from stackr.options import Option
from stackr.spec.units import parse_size
from stackr.stack.build_cache import prune_build_cache

__all__ = ["KEEP_STORAGE", "UNTIL", "prune", "prune_cache"]

KEEP_STORAGE = Option(
    "--keep-storage", metavar="BYTES", help="Keep this much of the build cache, the last used"
)
UNTIL = Option("--filter", metavar="KEY=VALUE", help="Only what matches: until=72h")


@dataclass(frozen=True, slots=True)
class PruneArguments:
    """`stackr builder prune`."""

    all: Annotated[bool, Option("--all", "-a", help="What images use as well")] = False
    filters: Annotated[tuple[str, ...], UNTIL] = ()
    force: Annotated[bool, FORCE] = False
    keep_storage: Annotated[str, KEEP_STORAGE] = ""


@takes(PruneArguments)
def prune(ctx: typer.Context, arguments: PruneArguments) -> None:
    """Remove what builds have left in the engine; images and containers stay.

    The build cache is one of all projects.
    """
    prune_cache(
        ctx,
        all=arguments.all,
        texts=arguments.filters,
        keep=arguments.keep_storage,
        force=arguments.force,
    )


def prune_cache(
    ctx: typer.Context, *, all: bool, texts: Sequence[str], keep: str, force: bool
) -> None:
    """texts: `until=TIME` at most. keep: a size, or "". With `--json` nobody is asked."""
    options = options_of(ctx)
    until, keep_bytes = _until(texts), _bytes(keep)
    what = "build cache" if all else "dangling build cache"
    if not (force or options.json or is_confirmed(f"WARNING! This will remove all {what}.")):
        return
    with open_session(options) as session:
        pruned = session.on_engine(
            lambda runtime: prune_build_cache(runtime, all=all, until=until, keep_bytes=keep_bytes)
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
