"""`stackr volumes`: the project's volumes, or those that some of its services use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from stackr.cli.arguments import check_plain
from stackr.cli.declared import Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.cli.source import source_of
from stackr.cli.targets import Targets
from stackr.cli.views.formats import Format
from stackr.cli.views.volumes import VOLUME_HEADINGS, VOLUME_UNKNOWN
from stackr.options import Option
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import VolumeState
from stackr.stack.containers import project_containers

__all__ = ["volumes"]


@dataclass(frozen=True, slots=True)
class VolumesArguments:
    """`stackr volumes`."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only names")] = False
    form: Annotated[
        str, Option("--format", metavar="FORMAT", help='table, json, or "{{.Name}}"')
    ] = "table"


@takes(VolumesArguments)
def volumes(ctx: typer.Context, arguments: VolumesArguments) -> None:
    """List the stack's volumes."""
    options, targets = options_of(ctx), arguments.targets
    check_plain(options.json, {"--quiet": arguments.quiet})
    form = Format.parse("json" if options.json else arguments.form, columns=("Driver", "Name"))
    source = source_of(options, targets.files)
    name = source.name()
    source.check_services(targets.services)
    with open_session(options) as session:
        found = session.look(lambda runtime: _volumes(runtime, name, targets.services))
        if arguments.quiet:
            lines = [volume.name for volume in found]
        else:
            lines = form.lines([_fields(volume) for volume in found], VOLUME_HEADINGS)
        for line in lines:
            session.out.line(line)


async def _volumes(
    runtime: Runtime, project: str, services: Sequence[str]
) -> Sequence[VolumeState]:
    found = await runtime.list_volumes(labels=[f"{labels.PROJECT}={project}"])
    if services:
        containers = await project_containers(runtime, project, services, oneoff=True)
        used = {mount.name for container in containers for mount in container.mounts}
        found = [volume for volume in found if volume.name in used]
    return sorted(found, key=lambda volume: volume.name)


def _fields(volume: VolumeState) -> dict[str, Any]:
    """As Docker's `volume ls` names them; what only a cluster or `system df` knows is `N/A`."""
    own = volume.labels
    return {
        **dict.fromkeys(("Availability", "Group", "Links", "Size", "Status"), VOLUME_UNKNOWN),
        "Driver": volume.driver,
        "Label": lambda name: own.get(name, ""),
        "Labels": ",".join(f"{key}={own[key]}" for key in sorted(own) if key != labels.SPEC),
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Scope": "local",
    }
