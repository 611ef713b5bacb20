"""`stackr system prune`: all that nothing uses.

Source: docker/cli, cli/command/system/prune.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.engine import Call, on_engine
from stackr.cli.objects.filters import FILTER_LONG, filters
from stackr.cli.objects.prompt import FORCE, is_confirmed
from stackr.cli.objects.prune import (
    Pruned,
    pruned_containers,
    pruned_images,
    pruned_networks,
    pruned_volumes,
    reclaimed,
)
from stackr.errors import InvalidArgument
from stackr.options import Option

__all__ = ["prune"]


@dataclass(frozen=True, slots=True)
class PruneArguments:
    """`stackr system prune`."""

    all: Annotated[
        bool, Option("--all", "-a", help="All images that no container uses, named or not")
    ] = False
    filters: Annotated[tuple[str, ...], FILTER_LONG] = ()
    force: Annotated[bool, FORCE] = False
    volumes: Annotated[bool, Option("--volumes", help="Anonymous volumes as well")] = False


@takes(PruneArguments)
def prune(ctx: typer.Context, arguments: PruneArguments) -> None:
    """Remove containers that do not run, networks and images that nothing uses, build cache."""
    asked = filters(arguments.filters)
    if arguments.volumes and any(text.startswith("until=") for text in arguments.filters):
        raise InvalidArgument('the "until" filter is not supported with "--volumes"')
    images = filters(arguments.filters, dangling="false" if arguments.all else "true")

    async def work(call: Call) -> None:
        if not arguments.force and not is_confirmed("\n".join(_warning(arguments))):
            return
        found = [await pruned_containers(call, asked), await pruned_networks(call, asked)]
        if arguments.volumes:
            found.append(await pruned_volumes(call, asked))
        found.append(await pruned_images(call, images))
        found.append(await _build_cache(call, arguments, asked))
        for each in found:
            each.show(call)
        reclaimed(call, found)

    on_engine(ctx, work)


async def _build_cache(call: Call, arguments: PruneArguments, asked: str | None) -> Pruned:
    answer = await call.post("/build/prune", all=arguments.all or None, filters=asked)
    lines = tuple(answer.get("CachesDeleted") or ())
    return Pruned("Deleted build cache objects:", lines, answer.get("SpaceReclaimed") or 0)


def _warning(arguments: PruneArguments) -> Iterator[str]:
    yield "WARNING! This will remove:"
    yield "  - all stopped containers"
    yield "  - all networks not used by at least one container"
    if arguments.volumes:
        yield "  - all anonymous volumes not used by at least one container"
    if arguments.all:
        yield "  - all images without at least one container associated to them"
        yield "  - all build cache"
    else:
        yield "  - all dangling images"
        yield "  - unused build cache"
    yield ""
    if arguments.filters:
        yield "  Items to be pruned will be filtered with:"
        yield from (f"  - {text}" for text in sorted(arguments.filters))
        yield ""
