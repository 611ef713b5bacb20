"""`stackr system df`: what images, containers, volumes and the build cache take on disk.

Source: docker/cli, cli/command/system/df.go; cli/command/formatter/disk_usage.go, buildcache.go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.container.ls import listed_fields
from stackr.cli.objects.engine import Call, Json, on_engine
from stackr.cli.objects.image.ls import image_rows
from stackr.cli.objects.listing import FORMAT, go_json, html_safe, parse_template, show_list
from stackr.cli.objects.volume import volume_fields
from stackr.cli.views.formats import Format
from stackr.cli.views.units import age, size
from stackr.errors import NotSupported
from stackr.options import Option
from stackr.runtime.docker.observe import unix_time

__all__ = ["df", "usage_rows"]

_COLUMNS = ("Type", "TotalCount", "Active", "Size", "Reclaimable")
_HEADINGS: Mapping[str, str] = {
    "Active": "ACTIVE",
    "Reclaimable": "RECLAIMABLE",
    "Size": "SIZE",
    "TotalCount": "TOTAL",
    "Type": "TYPE",
}
_DETAILS: Mapping[str, Mapping[str, str]] = {
    "Images": {
        "Repository": "REPOSITORY",
        "Tag": "TAG",
        "ID": "IMAGE ID",
        "CreatedSince": "CREATED",
        "Size": "SIZE",
        "SharedSize": "SHARED SIZE",
        "UniqueSize": "UNIQUE SIZE",
        "Containers": "CONTAINERS",
    },
    "Containers": {
        "ID": "CONTAINER ID",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "LocalVolumes": "LOCAL VOLUMES",
        "Size": "SIZE",
        "RunningFor": "CREATED",
        "Status": "STATUS",
        "Names": "NAMES",
    },
    "Volumes": {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"},
    "BuildCache": {
        "ID": "CACHE ID",
        "CacheType": "CACHE TYPE",
        "Size": "SIZE",
        "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED",
        "UsageCount": "USAGE",
        "Shared": "SHARED",
    },
}
_RAW: Mapping[str, str] = {
    "type": "Type",
    "total": "TotalCount",
    "active": "Active",
    "size": "Size",
    "reclaimable": "Reclaimable",
}
_SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class DfArguments:
    """`stackr system df`."""

    form: Annotated[str, FORMAT] = ""
    verbose: Annotated[
        bool, Option("--verbose", "-v", help="List each image, container and volume")
    ] = False


@takes(DfArguments)
def df(ctx: typer.Context, arguments: DfArguments) -> None:
    """Show what the engine's things take on disk."""
    has_rows = arguments.form == "raw" or arguments.form.startswith("table ")
    if arguments.verbose and has_rows:
        raise NotSupported(
            f"--verbose --format {arguments.form.split()[0]}: not supported",
            hint="use --format json, or a template of .Images, .Containers, .Volumes, .BuildCache",
        )
    parse_template(arguments.form)  # before anything is asked for

    async def work(call: Call) -> None:
        found = await call.get("/system/df")
        if arguments.verbose:
            _show_details(call, found, arguments.form)
            return
        rows = usage_rows(found)
        show_list(call, rows, form=arguments.form, columns=_COLUMNS, headings=_HEADINGS, raw=_RAW)

    on_engine(ctx, work, read_only=True)


def usage_rows(found: Json) -> list[dict[str, str]]:
    """A row for each kind of thing, from the answer of `GET /system/df`."""
    images, containers = found.get("Images") or [], found.get("Containers") or []
    volumes, cache = found.get("Volumes") or [], found.get("BuildCache") or []
    layers = found.get("LayersSize") or 0
    used = [each for each in images if (each.get("Containers") or 0) > 0]
    taken = sum(_own_size(each) for each in used if -1 not in (each["Size"], _shared(each)))
    idle = [each for each in containers if each.get("State") not in _ACTIVE]
    sizes = [((each.get("UsageData") or {}), each) for each in volumes]
    free = [usage for usage, _ in sizes if not usage.get("RefCount")]
    return [
        _row("Images", len(images), len(used), layers, layers - taken),
        _row(
            "Containers",
            len(containers),
            len(containers) - len(idle),
            sum(each.get("SizeRw") or 0 for each in containers),
            sum(each.get("SizeRw") or 0 for each in idle),
        ),
        _row(
            "Local Volumes",
            len(volumes),
            sum((usage.get("RefCount") or 0) > 0 for usage, _ in sizes),
            sum(max(usage.get("Size") or 0, 0) for usage, _ in sizes),
            sum(max(usage.get("Size") or 0, 0) for usage in free),
        ),
        _cache_row(cache),
    ]


_ACTIVE = ("running", "paused", "restarting")


def _shared(image: Json) -> int:
    return int(image.get("SharedSize") or 0)


def _own_size(image: Json) -> int:
    return int(image.get("Size") or 0) - _shared(image)


def _row(kind: str, total: int, active: int, used: int, free: int) -> dict[str, str]:
    share = f" ({free * 100 // used}%)" if used > 0 else ""
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": size(used, digits=4),
        "Reclaimable": f"{size(free, digits=4)}{share}",
    }


def _cache_row(cache: Sequence[Json]) -> dict[str, str]:
    """What images share is theirs, and is not freed."""
    used = sum(each.get("Size") or 0 for each in cache if not each.get("Shared"))
    busy = sum(
        each.get("Size") or 0 for each in cache if each.get("InUse") and not each.get("Shared")
    )
    active = sum(bool(each.get("InUse")) for each in cache)
    row = _row("Build Cache", len(cache), active, used, used - busy)
    return row | {"Reclaimable": size(used - busy, digits=4)}


def _details(found: Json, *, whole: bool) -> dict[str, list[dict[str, Any]]]:
    now = time.time()
    return {
        "Images": [
            next(iter(image_rows(item, now=now, whole=whole, digests=False))) | {"Digest": ""}
            for item in found.get("Images") or ()
        ],
        "Containers": [
            listed_fields({**item, "SizeRootFs": 0}, now=now, whole=whole)
            for item in found.get("Containers") or ()
        ],
        "Volumes": [volume_fields(item) for item in found.get("Volumes") or ()],
        "BuildCache": [_record(item, now, whole=whole) for item in found.get("BuildCache") or ()],
    }


def _record(item: Json, now: float, *, whole: bool) -> dict[str, Any]:
    in_use = "*" if item.get("InUse") else ""
    since = {key: unix_time(item.get(key)) for key in ("CreatedAt", "LastUsedAt")}
    return {
        "ID": item["ID"] + in_use if whole else f"{item['ID'][:_SHORT_ID]}{in_use}",
        "Parent": ", ".join(item.get("Parents") or ()),
        "CacheType": item.get("Type") or "",
        "Description": item.get("Description") or "",
        "InUse": "true" if item.get("InUse") else "false",
        "Shared": "true" if item.get("Shared") else "false",
        "Size": size(item.get("Size") or 0),
        "CreatedAt": str(item.get("CreatedAt") or ""),
        "CreatedSince": f"{age(now - since['CreatedAt'])} ago" if since["CreatedAt"] else "",
        "LastUsedAt": str(item.get("LastUsedAt") or ""),
        "LastUsedSince": f"{age(now - since['LastUsedAt'])} ago" if since["LastUsedAt"] else "",
        "UsageCount": str(item.get("UsageCount") or 0),
    }


def _show_details(call: Call, found: Json, form: str) -> None:
    is_table = form in ("", "table")
    details = _details(found, whole=not is_table)
    if not is_table:
        plain = {
            kind: [{k: row[k] for k in sorted(row) if not callable(row[k])} for row in rows]
            for kind, rows in details.items()
        }
        text = parse_template(form).render(plain, {"json": lambda each: html_safe(go_json(each))})
        call.session.out.stream.write(text)  # docker ends no line either
        return
    cache = sum(e.get("Size") or 0 for e in found.get("BuildCache") or () if not e.get("Shared"))
    titles = {
        "Images": "Images space usage:",
        "Containers": "\nContainers space usage:",
        "Volumes": "\nLocal Volumes space usage:",
        "BuildCache": f"\nBuild cache usage: {size(cache, digits=4)}",
    }
    for kind, rows in details.items():
        call.line(f"{titles[kind]}\n")
        headings = _DETAILS[kind]
        for line in Format.parse("table", columns=tuple(headings)).lines(rows, headings):
            call.line(line)
