"""`stackr container create`, and how `run` makes its container.

Source: docker/cli, cli/command/container/create.go.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.command import FlagError
from stackr.cli.objects.container.body import create_body
from stackr.cli.objects.container.options import CreateArguments
from stackr.cli.objects.docker_config import with_proxies
from stackr.cli.objects.engine import Call, Json, on_engine
from stackr.cli.objects.image.transfer import pull_image
from stackr.cli.terminal import console_size
from stackr.errors import InvalidArgument, NotFound
from stackr.registry.reference import parse_reference

__all__ = ["CONTEXT_SETTINGS", "check_pull", "create", "made"]

CONTEXT_SETTINGS = {"create": {"allow_interspersed_args": False, "help_option_names": ["--help"]}}
_POLICIES = ("always", "missing", "never")


@takes(CreateArguments)
def create(ctx: typer.Context, arguments: CreateArguments) -> None:
    """Make a container of an image, and do not start it."""
    check_pull(arguments)
    body = create_body(arguments, size=console_size(tty=True))

    async def work(call: Call) -> None:
        call.line(await made(call, arguments, body))

    on_engine(ctx, work)


def check_pull(arguments: CreateArguments) -> None:
    if arguments.pull not in ("", *_POLICIES):
        raise FlagError(
            f"invalid pull option: '{arguments.pull}': must be one of"
            ' "always", "missing" or "never"'
        )


async def made(call: Call, arguments: CreateArguments, body: Json) -> str:
    """The ID of the new container; its image is pulled where it is missing.

    What the engine warns of, and how far a pull is, goes to stderr.
    """
    with _id_file(arguments.cidfile) as write:
        if arguments.pull == "always":
            await _pull(call, arguments)
        try:
            answer = await _created(call, arguments, body)
        except NotFound:
            if arguments.pull != "missing" or not _has_name(arguments.image):
                raise
            await _pull_missing(call, arguments)
            answer = await _created(call, arguments, body)
        for warning in answer.get("Warnings") or ():
            call.error_line(f"WARNING: {warning}")
        identity = str(answer["Id"])
        write(identity)
    return identity


async def _created(call: Call, arguments: CreateArguments, body: Json) -> Any:
    variables = with_proxies(body.get("Env") or (), call.address)
    body = body | ({"Env": variables} if variables else {})
    return await call.post(
        "/containers/create",
        body,
        name=arguments.name or None,
        platform=arguments.platform or os.environ.get("DOCKER_DEFAULT_PLATFORM") or None,
    )


def _has_name(image: str) -> bool:
    """An ID alone is in no registry."""
    try:
        parse_reference(image)
    except InvalidArgument:
        return False
    return True


async def _pull_missing(call: Call, arguments: CreateArguments) -> None:
    name = parse_reference(arguments.image).with_default_tag().familiar
    if not arguments.quiet:
        call.error_line(f"Unable to find image '{name}' locally")
    await _pull(call, arguments)


async def _pull(call: Call, arguments: CreateArguments) -> None:
    reference = parse_reference(arguments.image).with_default_tag()
    out = None if arguments.quiet else sys.stderr
    await pull_image(call, reference, platform=arguments.platform, out=out)


@contextlib.contextmanager
def _id_file(path: str) -> Iterator[Callable[[str], object]]:
    """A new file for the ID, which is gone again where nothing is written."""
    if not path:
        yield lambda text: None
        return
    file = Path(path)
    try:
        file.open("x").close()
    except FileExistsError:
        raise InvalidArgument(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"failed to create the container ID file: {path}: {why}") from error
    try:
        yield file.write_text
    finally:
        if not file.stat().st_size:
            file.unlink()
