"""Images are named and removed.

Source: docker/cli, cli/command/image/remove.go, tag.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, on_engine, path, report
from stackr.cli.objects.image.platform import PLATFORM, platform_query
from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.options import Option
from stackr.registry.reference import parse_reference

__all__ = ["rm", "tag"]


@dataclass(frozen=True, slots=True)
class RmArguments:
    """`stackr image rm`."""

    images: Annotated[tuple[str, ...], Argument("IMAGE...")]
    force: Annotated[
        bool, Option("--force", "-f", help="Also what stopped containers are made of")
    ] = False
    no_prune: Annotated[
        bool, Option("--no-prune", help="Leave the images without a name that it is made of")
    ] = False
    platform: Annotated[str, PLATFORM] = ""


@dataclass(frozen=True, slots=True)
class TagArguments:
    """`stackr image tag`."""

    source: Annotated[str, Argument("SOURCE[:TAG]")]
    target: Annotated[str, Argument("TARGET[:TAG]")]


@takes(RmArguments)
def rm(ctx: typer.Context, arguments: RmArguments) -> int:
    """Remove images, or names of them."""

    async def work(call: Call) -> int:
        failed = []
        chosen = await platform_query(call, arguments.platform, since=(1, 50), key="platforms")
        for image in arguments.images:
            try:
                found = await call.delete(
                    f"/images{path(*image.split('/'))}",
                    force=arguments.force or None,
                    noprune=arguments.no_prune or None,
                    **chosen,
                )
            except StackrError as error:
                failed.append(error)
                continue
            for each in found or ():
                is_name = "Untagged" in each
                call.line(
                    f"Untagged: {each['Untagged']}" if is_name else f"Deleted: {each['Deleted']}"
                )
        for failure in failed:
            report(call, failure)
        is_fatal = [e for e in failed if not (arguments.force and isinstance(e, NotFound))]
        return int(bool(is_fatal))

    return on_engine(ctx, work)


@takes(TagArguments)
def tag(ctx: typer.Context, arguments: TagArguments) -> None:
    """Give an image a further name."""
    target = parse_reference(arguments.target)
    if target.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")

    async def work(call: Call) -> None:
        await call.post(
            f"/images{path(*arguments.source.split('/'))}/tag",
            repo=target.familiar_name,
            tag=target.tag or "latest",
        )

    on_engine(ctx, work)
