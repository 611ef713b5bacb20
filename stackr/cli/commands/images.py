"""`stackr images`: what the stack's containers were made from."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from stackr.cli.arguments import check_choice, check_plain
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.cli.views.images import images_json, images_table
from stackr.errors import NotFound
from stackr.options import Option
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState, ImageState
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import project_containers
from stackr.stack.workloads.tasks import list_tasks

__all__ = ["images"]


@dataclass(frozen=True, slots=True)
class ImagesArguments:
    """`stackr images`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only IDs")] = False
    form: Annotated[str, Option("--format", metavar="KIND", help="table or json")] = "table"


@takes(ImagesArguments)
def images(ctx: typer.Context, arguments: ImagesArguments) -> None:
    """List the images of the stack's containers."""
    options, targets = options_of(ctx), arguments.targets
    check_plain(options.json, {"--quiet": arguments.quiet})
    kind = check_choice("--format", "json" if options.json else arguments.form, ("table", "json"))
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    with open_session(options) as session:
        rows = session.look(
            lambda runtime: _images(runtime, name, targets.services),
            cluster=OnCluster(name, lambda cluster: _of_tasks(cluster, name, targets.services)),
        )
        if arguments.quiet:
            lines = list(dict.fromkeys(c.image_id.removeprefix("sha256:") for c, _ in rows))
        elif kind == "json":
            lines = [images_json(rows)]
        else:
            lines = images_table(rows, now=time.time())
        for line in lines:
            session.out.line(line)


async def _images(
    runtime: Runtime, project: str, services: tuple[str, ...]
) -> list[tuple[ContainerState, ImageState | None]]:
    containers = await project_containers(runtime, project, services, oneoff=True)
    containers.sort(key=lambda container: container.name)
    ids = list(dict.fromkeys(container.image_id for container in containers))
    found = dict(
        zip(ids, await asyncio.gather(*(_image(runtime, id_) for id_ in ids)), strict=True)
    )
    return [(container, found[container.image_id]) for container in containers]


async def _image(runtime: Runtime, ref: str) -> ImageState | None:
    try:
        return await runtime.inspect_image(ref)
    except NotFound:
        return None


async def _of_tasks(
    cluster: Workloads, project: str, services: tuple[str, ...]
) -> list[tuple[ContainerState, ImageState | None]]:
    """What a cluster's tasks run, by reference and digest; the nodes alone know more of it."""
    found: list[tuple[ContainerState, ImageState | None]] = []
    for each in await list_tasks(cluster, project, services):
        image, _, digest = each.task.image.partition("@")
        task = each.task
        container = ContainerState(
            id=task.container_id, name=each.name, image=image, image_id=digest, state=task.state
        )
        found.append((container, None))
    return found
