"""An earlier revision as something to reach."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackr.errors import NotFound
from stackr.planner.desired.project import desired
from stackr.planner.observe.revision import Revision, find_revision, previous
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.spec.archive import restored
from stackr.stack.address import is_of_this_machine
from stackr.stack.context import Context
from stackr.stack.goal import Goal
from stackr.stack.history import read_history
from stackr.stack.isolated_load import isolated_again

__all__ = ["goal_of", "of_image", "rollback_goal"]


async def rollback_goal(
    context: Context, runtime: Runtime, project: str, number: int | None, up_options: UpOptions
) -> Goal:
    """What brings a project back to a revision. number: None for the one before the last.

    Raises NotFound where there is no such revision.
    """
    revisions = await read_history(runtime, project)
    revision = previous(revisions) if number is None else find_revision(revisions, number)
    return await goal_of(context, runtime, revision, revisions, up_options)


async def goal_of(
    context: Context,
    runtime: Runtime,
    revision: Revision,
    revisions: Sequence[Revision],
    up_options: UpOptions,
) -> Goal:
    """The revision as something to reach: its services, images and replicas.

    Services that later revisions brought are removed; those that stackr never made stay.
    """
    archive = dict(revision.archive)
    images = await _images(context, runtime, revision)
    archive["services"] = {
        service: of_image(each, images[service]) if service in images else each
        for service, each in archive["services"].items()
    }
    project = restored(archive, os.environ)
    existing = await runtime.list_containers(labels=[f"{labels.PROJECT}={project.name}"])
    if project.isolated is not None:
        project = isolated_again(project, project.isolated, existing)
    scale = {name: n for name, n in revision.replicas.items() if name in project.services}
    options = replace(up_options, scale=scale, build="never")  # its images are what they were
    wanted = desired(project, options, bound_files=is_of_this_machine(context.engine))
    brought = {name for each in revisions for name in each.archive.get("services", ())}
    strangers = {container.labels.get(labels.SERVICE, "") for container in existing} - brought
    wanted = replace(wanted, known_services=wanted.known_services | strangers)
    return Goal(
        project,
        wanted,
        options,
        action=f"rollback to {revision.number}",
        announcement=f"rolling {project.name} back to revision {revision.number}",
    )


def of_image(service: Mapping[str, Any], image: str) -> dict[str, Any]:
    """The service with another image, and so its steps of `pre_start` that have the same one."""
    own = service.get("image")
    steps = [
        {**step, "image": image} if own and step.get("image") == own else step
        for step in service.get("pre_start", ())
    ]
    return {**service, "image": image, **({"pre_start": steps} if steps else {})}


async def _images(context: Context, runtime: Runtime, revision: Revision) -> dict[str, str]:
    """What to run where a service's reference names another image by now, or none.

    That is the very image by its ID, or, where the engine has it no more, by the digest that a
    registry knows it by.
    """
    chosen: dict[str, str] = {}
    for service, image_id in revision.images.items():
        reference = revision.archive["services"].get(service, {}).get("image", "")
        if await _image_id(runtime, reference) == image_id:
            continue
        if await _image_id(runtime, image_id) == image_id:
            chosen[service] = image_id
        elif service in revision.digests:
            chosen[service] = revision.digests[service]
        else:
            context.warning(
                f'service "{service}": the image of revision {revision.number} is not here any '
                f"more: {reference} is taken as it is now"
            )
    return chosen


async def _image_id(runtime: Runtime, reference: str) -> str:
    try:
        return (await runtime.inspect_image(reference)).id if reference else ""
    except NotFound:
        return ""
