"""Things as the engine describes them: `inspect`, and `container inspect` and its kin.

Source: docker/cli, cli/command/inspect/inspector.go; cli/command/system/inspect.go.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, Json, on_engine, path, report
from stackr.cli.objects.image.platform import PLATFORM, platform_query
from stackr.cli.objects.listing import one, parse_template
from stackr.errors import NotFound, StackrError
from stackr.options import Option

__all__ = [
    "INSPECT_FORMAT",
    "Look",
    "inspect",
    "inspect_container",
    "inspect_image",
    "inspect_network",
    "inspect_volume",
    "show_found",
]

INSPECT_FORMAT = Option("--format", "-f", metavar="FORMAT", help="json, or a Go template")
_SIZE = Option("--size", "-s", help="With what a container takes on disk")
_INDENT = 4

Look = Callable[[Call, str], Awaitable[Json]]
"""Finds one thing by its name or ID."""


@dataclass(frozen=True, slots=True)
class InspectArguments:
    """`stackr inspect`. type: of the things, "" for any."""

    names: Annotated[tuple[str, ...], Argument("NAME...")]
    form: Annotated[str, INSPECT_FORMAT] = ""
    size: Annotated[bool, _SIZE] = False
    type: Annotated[
        str, Option("--type", metavar="TYPE", help="container, image, network or volume")
    ] = ""


@dataclass(frozen=True, slots=True)
class ContainerArguments:
    """`stackr container inspect`."""

    names: Annotated[tuple[str, ...], Argument("CONTAINER...")]
    form: Annotated[str, INSPECT_FORMAT] = ""
    size: Annotated[bool, _SIZE] = False


@dataclass(frozen=True, slots=True)
class ImageArguments:
    """`stackr image inspect`."""

    names: Annotated[tuple[str, ...], Argument("IMAGE...")]
    form: Annotated[str, INSPECT_FORMAT] = ""
    platform: Annotated[str, PLATFORM] = ""


@dataclass(frozen=True, slots=True)
class NetworkArguments:
    """`stackr network inspect`."""

    names: Annotated[tuple[str, ...], Argument("NETWORK...")]
    form: Annotated[str, INSPECT_FORMAT] = ""
    verbose: Annotated[bool, Option("--verbose", "-v", help="Show all details")] = False


@dataclass(frozen=True, slots=True)
class VolumeArguments:
    """`stackr volume inspect`."""

    names: Annotated[tuple[str, ...], Argument("VOLUME...")]
    form: Annotated[str, INSPECT_FORMAT] = ""


@takes(InspectArguments)
def inspect(ctx: typer.Context, arguments: InspectArguments) -> int:
    """Describe containers, images, networks and volumes, whichever has the name."""
    if arguments.type:
        check_choice("--type", arguments.type, tuple(_LOOKS))
    chosen = {arguments.type: _LOOKS[arguments.type]} if arguments.type else _LOOKS

    async def look(call: Call, name: str) -> Json:
        for find in chosen.values():
            try:
                found: Json = await find(call, name, size=arguments.size)
            except NotFound:
                continue
            return found
        raise NotFound(f"No such {arguments.type or 'object'}: {name}")

    return show_found(ctx, arguments.names, look, arguments.form)


async def _container(call: Call, name: str, *, size: bool = False) -> Json:
    return await call.get(path("containers", name, "json"), size=size or None)  # type: ignore[no-any-return]


async def _image(call: Call, name: str, *, size: bool = False) -> Json:
    return await call.get(f"/images{path(*name.split('/'))}/json")  # type: ignore[no-any-return]


async def _network(call: Call, name: str, *, size: bool = False) -> Json:
    return await call.get(path("networks", name))  # type: ignore[no-any-return]


async def _volume(call: Call, name: str, *, size: bool = False) -> Json:
    return await call.get(path("volumes", name))  # type: ignore[no-any-return]


_LOOKS: dict[str, Any] = {
    "container": _container,
    "image": _image,
    "network": _network,
    "volume": _volume,
}


@takes(ContainerArguments)
def inspect_container(ctx: typer.Context, arguments: ContainerArguments) -> int:
    """Describe containers."""

    async def look(call: Call, name: str) -> Json:
        return await _container(call, name, size=arguments.size)

    return show_found(ctx, arguments.names, look, arguments.form)


@takes(ImageArguments)
def inspect_image(ctx: typer.Context, arguments: ImageArguments) -> int:
    """Describe images."""

    async def look(call: Call, name: str) -> Json:
        chosen = await platform_query(call, arguments.platform, since=(1, 49))
        found: Json = await call.get(f"/images{path(*name.split('/'))}/json", **chosen)
        return found

    return show_found(ctx, arguments.names, look, arguments.form)


@takes(NetworkArguments)
def inspect_network(ctx: typer.Context, arguments: NetworkArguments) -> int:
    """Describe networks."""

    async def look(call: Call, name: str) -> Json:
        found: Json = await call.get(path("networks", name), verbose=arguments.verbose or None)
        return found

    return show_found(ctx, arguments.names, look, arguments.form)


@takes(VolumeArguments)
def inspect_volume(ctx: typer.Context, arguments: VolumeArguments) -> int:
    """Describe volumes."""
    return show_found(ctx, arguments.names, _volume, arguments.form)


def show_found(ctx: typer.Context, names: Sequence[str], look: Look, form: str) -> int:
    """All that are found, as one JSON list or a line each; 1 where one is not."""

    parse_template(form)  # before anything is asked for

    async def work(call: Call) -> int:
        found, failed = [], []
        for name in names:
            try:
                found.append(await look(call, name))
            except StackrError as error:
                failed.append(error)
        if form:
            _show_each(call, found, form)
        else:
            call.line(json.dumps(found, ensure_ascii=False, indent=_INDENT))
        for failure in failed:
            report(call, failure)
        return int(bool(failed))

    return on_engine(ctx, work, read_only=True)


def _show_each(call: Call, found: Sequence[Json], form: str) -> None:
    """json: all of them in a list, on one line."""
    if form == "json":
        one(call, list(found), form)
        return
    for item in found:
        one(call, item, form)
