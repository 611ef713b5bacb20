"""Images come from registries and go there.

Source: docker/cli, cli/command/image/pull.go and push.go.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated, TextIO

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, on_engine
from stackr.cli.objects.image.platform import platform_query
from stackr.cli.objects.progress import show_progress
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option
from stackr.registry.credentials import registry_auth
from stackr.registry.reference import Reference, parse_reference

__all__ = ["pull", "pull_image", "push"]

_NO_CREDENTIALS = "e30="  # {}: dockerd insists on the header of a push
_ALL_TAGS = Option("--all-tags", "-a", help="All tags of the repository")
_NO_TRUST = Option("--disable-content-trust/--enable-content-trust", hidden=True)
_QUIET = Option("--quiet", "-q", help="Show its name only")


@dataclass(frozen=True, slots=True)
class PullArguments:
    """`stackr image pull`."""

    image: Annotated[str, Argument("NAME[:TAG|@DIGEST]")]
    all_tags: Annotated[bool, _ALL_TAGS] = False
    trusts_none: Annotated[bool, _NO_TRUST] = True
    platform: Annotated[
        str, Option("--platform", metavar="OS[/ARCH]", help="Which platform of the image")
    ] = ""
    quiet: Annotated[bool, _QUIET] = False


@dataclass(frozen=True, slots=True)
class PushArguments:
    """`stackr image push`."""

    image: Annotated[str, Argument("NAME[:TAG]")]
    all_tags: Annotated[bool, _ALL_TAGS] = False
    trusts_none: Annotated[bool, _NO_TRUST] = True
    platform: Annotated[
        str, Option("--platform", metavar="OS[/ARCH]", help="Only this platform of it")
    ] = ""
    quiet: Annotated[bool, _QUIET] = False


@takes(PullArguments)
def pull(ctx: typer.Context, arguments: PullArguments) -> None:
    """Bring an image here from its registry."""
    _check_trust(trusts_none=arguments.trusts_none)
    reference = parse_reference(arguments.image)
    if arguments.all_tags and (reference.tag or reference.digest):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    tagged = reference if arguments.all_tags else reference.with_default_tag()

    async def work(call: Call) -> None:
        if tagged != reference and not arguments.quiet:
            call.line("Using default tag: latest")
        out = None if arguments.quiet else sys.stdout
        await pull_image(call, tagged, platform=arguments.platform, out=out)
        call.line(str(tagged))

    on_engine(ctx, work)


async def pull_image(
    call: Call, reference: Reference, *, platform: str = "", out: TextIO | None
) -> None:
    """With the caller's credentials. A reference without a tag means all tags."""
    query = {
        "fromImage": reference.familiar_name,
        "tag": reference.digest or reference.tag,
        "platform": platform or os.environ.get("DOCKER_DEFAULT_PLATFORM") or None,
    }
    auth = await registry_auth(reference.name, os.environ)
    where = "/images/create"
    async with call.runtime.request_stream(
        "POST", where, query=query, headers={"X-Registry-Auth": auth} if auth else {}
    ) as chunks:
        await show_progress(call.runtime.json_lines(chunks, where), out)


@takes(PushArguments)
def push(ctx: typer.Context, arguments: PushArguments) -> None:
    """Bring an image to its registry."""
    _check_trust(trusts_none=arguments.trusts_none)
    reference = parse_reference(arguments.image)
    if arguments.all_tags and (reference.tag or reference.digest):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    tagged = reference if arguments.all_tags else reference.with_default_tag()

    async def work(call: Call) -> None:
        if tagged != reference and not arguments.quiet:
            call.line("Using default tag: latest")
        auth = await registry_auth(tagged.name, os.environ) or _NO_CREDENTIALS
        where = f"/images/{tagged.familiar_name}/push"
        chosen = await platform_query(call, arguments.platform, since=(1, 46))
        async with call.runtime.request_stream(
            "POST",
            where,
            query={"tag": tagged.tag, **chosen},
            headers={"X-Registry-Auth": auth},
        ) as chunks:
            out = None if arguments.quiet else sys.stdout
            await show_progress(call.runtime.json_lines(chunks, where), out)
        if arguments.quiet:
            call.line(str(tagged))

    on_engine(ctx, work)


def _check_trust(*, trusts_none: bool) -> None:
    if not trusts_none:
        raise NotSupported("--disable-content-trust=false: not supported: no image is signed so")
