"""Things that nothing uses are removed, after a question.

Source: docker/cli, cli/command/*/prune.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.engine import Call, on_engine
from stackr.cli.objects.filters import FILTER_LONG, filters
from stackr.cli.objects.prompt import FORCE, is_confirmed
from stackr.cli.views.units import size
from stackr.options import Option

__all__ = [
    "Pruned",
    "prune_containers",
    "prune_images",
    "prune_networks",
    "prune_volumes",
    "pruned_containers",
    "pruned_images",
    "pruned_networks",
    "pruned_volumes",
    "reclaimed",
]

_REMOVES = "WARNING! This will remove"


@dataclass(frozen=True, slots=True)
class PruneArguments:
    """Of containers and networks."""

    filters: Annotated[tuple[str, ...], FILTER_LONG] = ()
    force: Annotated[bool, FORCE] = False


@dataclass(frozen=True, slots=True)
class VolumeArguments:
    """Of volumes."""

    all: Annotated[bool, Option("--all", "-a", help="Those with a name as well")] = False
    filters: Annotated[tuple[str, ...], FILTER_LONG] = ()
    force: Annotated[bool, FORCE] = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed: its heading, a line each, and the bytes on disk (None: not told)."""

    heading: str
    lines: tuple[str, ...]
    size_bytes: int | None = None

    def show(self, call: Call) -> None:
        """Nothing where nothing was removed."""
        if self.lines:
            call.line("\n".join((self.heading, *self.lines, "")))


def reclaimed(call: Call, found: Sequence[Pruned]) -> None:
    """The last line."""
    total = sum(each.size_bytes or 0 for each in found)
    call.line(f"Total reclaimed space: {size(total, digits=4)}")


async def pruned_containers(call: Call, asked: str | None) -> Pruned:
    answer = await call.post("/containers/prune", filters=asked)
    return _pruned("Deleted Containers:", answer, answer.get("ContainersDeleted"))


async def pruned_networks(call: Call, asked: str | None) -> Pruned:
    answer = await call.post("/networks/prune", filters=asked)
    return Pruned("Deleted Networks:", tuple(answer.get("NetworksDeleted") or ()))


async def pruned_volumes(call: Call, asked: str | None) -> Pruned:
    answer = await call.post("/volumes/prune", filters=asked)
    return _pruned("Deleted Volumes:", answer, answer.get("VolumesDeleted"))


async def pruned_images(call: Call, asked: str | None) -> Pruned:
    answer = await call.post("/images/prune", filters=asked)
    lines = [
        f"untagged: {each['Untagged']}" if each.get("Untagged") else f"deleted: {each['Deleted']}"
        for each in answer.get("ImagesDeleted") or ()
    ]
    return _pruned("Deleted Images:", answer, lines)


def _pruned(heading: str, answer: Any, lines: Sequence[str] | None) -> Pruned:
    return Pruned(heading, tuple(lines or ()), answer.get("SpaceReclaimed") or 0)


@takes(PruneArguments)
def prune_containers(ctx: typer.Context, arguments: PruneArguments) -> None:
    """Remove all containers that do not run."""
    asked = filters(arguments.filters)

    async def work(call: Call) -> None:
        if not arguments.force and not is_confirmed(f"{_REMOVES} all stopped containers."):
            return
        found = await pruned_containers(call, asked)
        found.show(call)
        reclaimed(call, [found])

    on_engine(ctx, work)


@takes(PruneArguments)
def prune_networks(ctx: typer.Context, arguments: PruneArguments) -> None:
    """Remove all networks that no container uses."""
    asked = filters(arguments.filters)
    warning = f"{_REMOVES} all custom networks not used by at least one container."

    async def work(call: Call) -> None:
        if arguments.force or is_confirmed(warning):
            (await pruned_networks(call, asked)).show(call)

    on_engine(ctx, work)


@takes(VolumeArguments)
def prune_volumes(ctx: typer.Context, arguments: VolumeArguments) -> None:
    """Remove the anonymous volumes that no container uses."""
    asked = filters(arguments.filters, **({"all": "true"} if arguments.all else {}))
    kind = "all" if arguments.all else "anonymous"
    warning = f"{_REMOVES} {kind} local volumes not used by at least one container."

    async def work(call: Call) -> None:
        if not arguments.force and not is_confirmed(warning):
            return
        found = await pruned_volumes(call, asked)
        found.show(call)
        reclaimed(call, [found])

    on_engine(ctx, work)


def prune_images(ctx: typer.Context, *, all: bool, texts: Sequence[str], force: bool) -> None:
    """Remove the images without a name; all: those that no container uses as well."""
    asked = filters(texts, dangling="false" if all else "true")
    what = "images without at least one container associated to them" if all else "dangling images"

    async def work(call: Call) -> None:
        if not force and not is_confirmed(f"{_REMOVES} all {what}."):
            return
        found = await pruned_images(call, asked)
        found.show(call)
        reclaimed(call, [found])

    on_engine(ctx, work)
