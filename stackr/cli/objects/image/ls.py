"""`stackr image ls` and `history`.

Source: docker/cli, cli/command/image/list.go, history.go; cli/command/formatter/image.go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.engine import Call, Json, on_engine, path
from stackr.cli.objects.filters import FILTER, filters
from stackr.cli.objects.image.platform import PLATFORM, platform_query
from stackr.cli.objects.listing import FORMAT, NO_TRUNC, short, show_list
from stackr.cli.views.moments import local, utc
from stackr.cli.views.units import age, size
from stackr.errors import NotSupported
from stackr.options import Option

__all__ = ["history", "image_rows", "ls"]

_COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
_HEADINGS: Mapping[str, str] = {
    "Containers": "CONTAINERS",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "SharedSize": "SHARED SIZE",
    "Size": "SIZE",
    "Tag": "TAG",
    "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "VIRTUAL SIZE",
}
_HISTORY_COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_HISTORY_IN_FIGURES = ("ID", "CreatedAt", "CreatedBy", "Size", "Comment")
_HISTORY_HEADINGS: Mapping[str, str] = {
    "Comment": "COMMENT",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "CreatedSince": "CREATED",
    "ID": "IMAGE",
    "Size": "SIZE",
}
_NONE, _UNKNOWN = "<none>", "N/A"
_MISSING = "<missing>"
_COMMAND_WIDTH = 45


@dataclass(frozen=True, slots=True)
class LsArguments:
    """`stackr image ls`. reference: a name or a pattern, "" for all."""

    reference: Annotated[str, Argument("[REPOSITORY[:TAG]]")] = ""
    all: Annotated[bool, Option("--all", "-a", help="Those of builds' steps as well")] = False
    digests: Annotated[bool, Option("--digests", help="With their digests")] = False
    filters: Annotated[tuple[str, ...], FILTER] = ()
    form: Annotated[str, FORMAT] = ""
    no_trunc: Annotated[bool, NO_TRUNC] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show only IDs")] = False
    tree: Annotated[bool, Option("--tree", hidden=True)] = False


@dataclass(frozen=True, slots=True)
class HistoryArguments:
    """`stackr image history`."""

    image: Annotated[str, Argument("IMAGE")]
    form: Annotated[str, FORMAT] = ""
    human: Annotated[
        bool, Option("--human/--no-human", "-H", help="Sizes and times for people (default)")
    ] = True
    no_trunc: Annotated[bool, NO_TRUNC] = False
    platform: Annotated[str, PLATFORM] = ""
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show only IDs")] = False


@takes(LsArguments)
def ls(ctx: typer.Context, arguments: LsArguments) -> None:
    """List images."""
    if arguments.tree:
        raise NotSupported("--tree: not supported: an image has one platform here")
    more = {"reference": arguments.reference} if arguments.reference else {}
    asked = filters(arguments.filters, **more)

    async def work(call: Call) -> None:
        items = await call.get("/images/json", all=arguments.all or None, filters=asked)
        now = time.time()
        with_digest = arguments.digests or ".Digest" in arguments.form
        rows = [
            row
            for item in items
            for row in image_rows(item, now=now, whole=arguments.no_trunc, digests=with_digest)
        ]
        columns = list(_COLUMNS)
        if arguments.digests:
            columns.insert(2, "Digest")
        show_list(
            call,
            rows,
            form=arguments.form,
            columns=columns,
            headings=_HEADINGS,
            quiet="ID" if arguments.quiet else "",
            setting="imagesFormat",
            raw=_raw(digests=arguments.digests),
        )

    on_engine(ctx, work, read_only=True)


def _raw(*, digests: bool) -> dict[str, str]:
    return {
        "repository": "Repository",
        "tag": "Tag",
        **({"digest": "Digest"} if digests else {}),
        "image_id": "ID",
        "created_at": "CreatedAt",
        "virtual_size": "Size",
    }


def image_rows(item: Json, *, now: float, whole: bool, digests: bool) -> Iterator[dict[str, Any]]:
    """A row for each name of an image, and with `digests` for each digest of the name."""
    size_bytes: int = item.get("Size") or 0
    created = item.get("Created") or 0
    row = {
        "ID": short(item["Id"], whole=whole),
        "CreatedSince": f"{age(now - created)} ago" if created else _UNKNOWN,
        "CreatedAt": f"{local(created):%Y-%m-%d %H:%M:%S %z %Z}",
        "Size": size(size_bytes),
        "Containers": _count(item.get("Containers")),
        "VirtualSize": size(size_bytes, digits=4),
        "SharedSize": _part(item.get("SharedSize")),
        "UniqueSize": _unique(item),
    }
    for repository, tag, digest in _names(item, digests=digests):
        yield {**row, "Repository": repository, "Tag": tag, "Digest": digest}


def _count(value: int | None) -> str:
    return _UNKNOWN if value is None or value == -1 else str(value)


def _part(value: int | None) -> str:
    return _UNKNOWN if value is None or value == -1 else size(value, digits=4)


def _unique(item: Json) -> str:
    shared = item.get("SharedSize")
    if shared is None or shared == -1:
        return _UNKNOWN
    return size((item.get("Size") or 0) - shared, digits=4)


def _names(item: Json, *, digests: bool) -> Iterator[tuple[str, str, str]]:
    """(repository, tag, digest); what there is not is `<none>`."""
    tags: dict[str, list[str]] = {}
    for name in item.get("RepoTags") or ():
        repository, _, tag = name.rpartition(":")
        if name != f"{_NONE}:{_NONE}":
            tags.setdefault(repository, []).append(tag)
    found: dict[str, list[str]] = {}
    for name in item.get("RepoDigests") or ():
        repository, _, digest = name.partition("@")
        if repository != _NONE:
            found.setdefault(repository, []).append(digest)
    if not tags and not found:
        yield _NONE, _NONE, _NONE
    for repository, own in tags.items():
        of_name = found.pop(repository, []) if digests else []
        found.pop(repository, None)
        yield from ((repository, tag, digest) for tag in own for digest in of_name or [_NONE])
    for repository, of_name in found.items():
        shown = of_name if digests else of_name[:1]
        yield from ((repository, _NONE, digest if digests else _NONE) for digest in shown)


@takes(HistoryArguments)
def history(ctx: typer.Context, arguments: HistoryArguments) -> None:
    """List the steps that an image is made of, the last first."""

    async def work(call: Call) -> None:
        where = f"/images{path(*arguments.image.split('/'))}/history"
        chosen = await platform_query(call, arguments.platform, since=(1, 48))
        rows = [_step(item, arguments) for item in await call.get(where, **chosen)]
        show_list(
            call,
            rows,
            form=arguments.form,
            columns=_HISTORY_COLUMNS if arguments.human else _HISTORY_IN_FIGURES,
            headings=_HISTORY_HEADINGS,
            quiet="ID" if arguments.quiet else "",
        )

    on_engine(ctx, work, read_only=True)


def _step(item: Json, arguments: HistoryArguments) -> dict[str, Any]:
    created = item.get("Created") or 0
    at = f"{utc(created):%Y-%m-%dT%H:%M:%SZ}"
    by = (item.get("CreatedBy") or "").replace("\t", " ")
    if not arguments.no_trunc and len(by) > _COMMAND_WIDTH:
        by = f"{by[: _COMMAND_WIDTH - 1]}…"
    identity = item.get("Id") or _MISSING
    since = f"{age(time.time() - created)} ago" if created > 0 else _UNKNOWN
    return {
        "ID": short(identity, whole=arguments.no_trunc or identity == _MISSING),
        "CreatedAt": at,
        "CreatedSince": since,
        "CreatedBy": by,
        "Size": size(item.get("Size") or 0) if arguments.human else str(item.get("Size") or 0),
        "Comment": item.get("Comment") or "",
    }
