"""`stackr image prune`: images that nothing uses, or what builds have left.

Source: docker/cli, cli/command/image/prune.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.builder import KEEP_STORAGE, UNTIL, prune_cache
from stackr.cli.objects.prompt import FORCE
from stackr.cli.objects.prune import prune_images
from stackr.errors import InvalidArgument
from stackr.options import Option

__all__ = ["prune"]


@dataclass(frozen=True, slots=True)
class PruneArguments:
    """`stackr image prune`."""

    build_cache: Annotated[
        bool, Option("--build-cache", help="What builds have left, as builder prune does")
    ] = False
    all: Annotated[
        bool, Option("--all", "-a", help="All that no container uses; of builds, what images use")
    ] = False
    filters: Annotated[tuple[str, ...], UNTIL] = ()
    force: Annotated[bool, FORCE] = False
    keep_storage: Annotated[str, KEEP_STORAGE] = ""


@takes(PruneArguments)
def prune(ctx: typer.Context, arguments: PruneArguments) -> None:
    """Remove the images without a name that no container uses, or the build cache.

    The build cache is one of all projects; images and containers stay then.
    """
    texts, force = arguments.filters, arguments.force
    if arguments.build_cache:
        keep = arguments.keep_storage
        prune_cache(ctx, all=arguments.all, texts=texts, keep=keep, force=force)
    elif arguments.keep_storage:
        raise InvalidArgument("image prune: --keep-storage is for --build-cache")
    else:
        prune_images(ctx, all=arguments.all, texts=texts, force=force)
