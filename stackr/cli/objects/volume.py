"""`stackr volume`: single volumes.

Source: docker/cli, cli/command/volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.objects.container import values
from stackr.cli.objects.engine import Call, Json, each, on_engine, path
from stackr.cli.objects.filters import FILTER, filters
from stackr.cli.objects.listing import FORMAT, by_name, show_list
from stackr.cli.views.units import size
from stackr.cli.views.volumes import VOLUME_HEADINGS, VOLUME_UNKNOWN
from stackr.errors import NotFound
from stackr.options import Option

__all__ = ["create", "ls", "rm", "volume_fields"]

_COLUMNS = ("Driver", "Name")


@dataclass(frozen=True, slots=True)
class LsArguments:
    """`stackr volume ls`."""

    filters: Annotated[tuple[str, ...], FILTER] = ()
    form: Annotated[str, FORMAT] = ""
    quiet: Annotated[bool, Option("--quiet", "-q", help="Their names only")] = False


@dataclass(frozen=True, slots=True)
class CreateArguments:
    """`stackr volume create`."""

    name: Annotated[str, Argument("[VOLUME]")] = ""
    driver: Annotated[str, Option("--driver", "-d", metavar="NAME", help="Its driver")] = "local"
    labels: Annotated[
        tuple[str, ...], Option("--label", metavar="KEY[=VALUE]", help="Set a label")
    ] = ()
    options: Annotated[
        tuple[str, ...],
        Option("--opt", "-o", metavar="KEY=VALUE", help="Set an option of the driver"),
    ] = ()


@dataclass(frozen=True, slots=True)
class RmArguments:
    """`stackr volume rm`."""

    names: Annotated[tuple[str, ...], Argument("VOLUME...")]
    force: Annotated[bool, Option("--force", "-f", help="Do not fail if it does not exist")] = False


@takes(LsArguments)
def ls(ctx: typer.Context, arguments: LsArguments) -> None:
    """List volumes."""
    asked = filters(arguments.filters)

    async def work(call: Call) -> None:
        answer = await call.get("/volumes", filters=asked)
        rows = [volume_fields(item) for item in answer.get("Volumes") or ()]
        show_list(
            call,
            by_name(rows),
            form=arguments.form,
            columns=_COLUMNS,
            headings=VOLUME_HEADINGS,
            quiet="Name" if arguments.quiet else "",
            setting="volumesFormat",
            raw={"name": "Name", "driver": "Driver"},
        )

    on_engine(ctx, work, read_only=True)


def volume_fields(item: Json) -> dict[str, Any]:
    """What a template can name. Only the figures of `system df` have size and links."""
    labels = item.get("Labels") or {}
    usage = item.get("UsageData") or {}
    return {
        "Availability": VOLUME_UNKNOWN,
        "Driver": item.get("Driver") or "",
        "Group": VOLUME_UNKNOWN,
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
        "Links": str(usage["RefCount"]) if usage else VOLUME_UNKNOWN,
        "Mountpoint": item.get("Mountpoint") or "",
        "Name": item["Name"],
        "Scope": item.get("Scope") or "",
        "Size": size(usage["Size"], digits=4) if usage else VOLUME_UNKNOWN,
        "Status": VOLUME_UNKNOWN,
    }


@takes(CreateArguments)
def create(ctx: typer.Context, arguments: CreateArguments) -> None:
    """Make a volume, and print its name."""
    body = {
        "Name": arguments.name,
        "Driver": arguments.driver,
        "DriverOpts": values.pairs("--opt", arguments.options),
        "Labels": values.label_map(arguments.labels),
    }

    async def work(call: Call) -> None:
        call.line((await call.post("/volumes/create", body))["Name"])

    on_engine(ctx, work)


@takes(RmArguments)
def rm(ctx: typer.Context, arguments: RmArguments) -> int:
    """Remove volumes."""

    async def work(call: Call, name: str) -> None:
        try:
            await call.delete(path("volumes", name), force=arguments.force or None)
        except NotFound:
            if not arguments.force:
                raise

    async def begin(call: Call) -> int:
        return await each(call, arguments.names, lambda name: work(call, name), at_once=False)

    return on_engine(ctx, begin)
