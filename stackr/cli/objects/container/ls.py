"""`stackr container ls`.

Source: docker/cli, cli/command/container/list.go; cli/command/formatter/container.go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.docker_config import configured
from stackr.cli.objects.engine import Call, Json, on_engine
from stackr.cli.objects.filters import FILTER, filters
from stackr.cli.objects.listing import FORMAT, NO_TRUNC, show_list
from stackr.cli.views.containers import HEADINGS as _ALL_HEADINGS
from stackr.cli.views.containers import container_fields
from stackr.cli.views.units import size
from stackr.options import Option
from stackr.runtime.docker.observe import container_listed

__all__ = ["listed_fields", "ls"]

_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_SHARED = (
    *("Command", "CreatedAt", "ID", "Label", "Labels", "LocalVolumes", "Mounts", "Networks"),
    *("Ports", "RunningFor", "State", "Status"),
)
_HEADINGS: Mapping[str, str] = {
    name: _ALL_HEADINGS[name] for name in (*_SHARED, "Image", "Names", "Size") if name != "Label"
} | {"Platform": "PLATFORM"}
_RAW: dict[str, str] = {
    "container_id": "ID",
    "image": "Image",
    "command": "Command",
    "created_at": "CreatedAt",
    "state": "State",
    "status": "Status",
    "names": "Names",
    "labels": "Labels",
    "ports": "Ports",
}
_SHORT_ID = 12
_IGNORED = "WARNING: Ignoring custom format, because both --format and --quiet are set."
_TAKES_SIZE = re.compile(r"\.Size\b|\bjson +\.(?!\w)")
"""Templates that name the size, or show the whole of a row."""


@dataclass(frozen=True, slots=True)
class LsArguments:
    """`stackr container ls`. last: the newest so many, -1 for those that run."""

    all: Annotated[bool, Option("--all", "-a", help="Those that do not run as well")] = False
    filters: Annotated[tuple[str, ...], FILTER] = ()
    form: Annotated[str, FORMAT] = ""
    last: Annotated[
        int, Option("--last", "-n", metavar="NUM", help="The newest, whatever their state")
    ] = -1
    latest: Annotated[bool, Option("--latest", "-l", help="The newest one, whatever its state")] = (
        False
    )
    no_trunc: Annotated[bool, NO_TRUNC] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show only IDs")] = False
    size: Annotated[bool, Option("--size", "-s", help="With what they take on disk")] = False

    @property
    def limit(self) -> int:
        return 1 if self.latest and self.last == -1 else self.last


@takes(LsArguments)
def ls(ctx: typer.Context, arguments: LsArguments) -> None:
    """List containers."""
    ignores_form = arguments.quiet and bool(arguments.form)
    if not arguments.form and not arguments.quiet:
        arguments = replace(arguments, form=configured("psFormat"))
    elif ignores_form and arguments.form != "raw":
        arguments = replace(arguments, form="")
    asked = filters(arguments.filters)

    async def work(call: Call) -> None:
        if ignores_form:
            call.error_line(_IGNORED)
        limit = arguments.limit
        items = await call.get(
            "/containers/json",
            all=arguments.all or limit > 0 or None,
            limit=limit if limit > 0 else None,
            size=_needs_size(arguments) or None,
            filters=asked,
        )
        _show(call, items, arguments)

    on_engine(ctx, work, read_only=True)


def _needs_size(arguments: LsArguments) -> bool:
    is_named = _TAKES_SIZE.search(arguments.form) is not None
    return arguments.size or (is_named and not arguments.quiet)


def _show(call: Call, items: list[Json], arguments: LsArguments) -> None:
    now = time.time()
    rows = [listed_fields(item, now=now, whole=arguments.no_trunc) for item in items]
    columns = (*_COLUMNS, "Size") if arguments.size else _COLUMNS
    show_list(
        call,
        rows,
        form=arguments.form,
        columns=columns,
        headings=_HEADINGS,
        quiet="ID" if arguments.quiet else "",
        raw=_RAW | ({"size": "Size"} if arguments.size else {}),
    )


def listed_fields(item: Json, *, now: float, whole: bool) -> dict[str, Any]:
    """What a template can name, of an entry of `GET /containers/json`."""
    fields = container_fields(container_listed(item), now=now, whole=whole)
    own = item.get("Labels") or {}
    return {name: fields[name] for name in _SHARED} | {
        "Image": _image(item, whole=whole),
        "Labels": ",".join(f"{key}={own[key]}" for key in sorted(own)),
        "Names": ",".join(_names(item, whole=whole)),
        "Platform": None,
        "Size": _size(item),
    }


def _names(item: Json, *, whole: bool) -> list[str]:
    """Without those of links, which have a second slash, unless all is wanted."""
    names = [name.removeprefix("/") for name in item.get("Names") or []]
    return names if whole else [name for name in names if "/" not in name]


def _image(item: Json, *, whole: bool) -> str:
    """An image that is named by its ID is cut, and a digest behind a name left out."""
    image: str = item.get("Image") or ""
    if not image:
        return "<no image>"
    if whole:
        return image
    identity: str = item.get("ImageID") or ""
    if image in (identity, identity.partition(":")[2]):
        return image.rpartition(":")[2][:_SHORT_ID]
    name, at, _ = image.partition("@")
    return name if at and ":" in name.rpartition("/")[2] else image


def _size(item: Json) -> str:
    own, virtual = size(item.get("SizeRw") or 0), item.get("SizeRootFs") or 0
    return f"{own} (virtual {size(virtual)})" if virtual > 0 else own
