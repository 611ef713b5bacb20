"""The revisions of a project: read from the engine, added to, and forgotten with its volumes."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from stackr.errors import Conflict, NotFound, StackrError
from stackr.planner.desired.project import Desired
from stackr.planner.observe.revision import (
    Revision,
    check_readable,
    next_number,
    outdated,
    revision_of,
    revision_volume,
)
from stackr.planner.plan.model import Plan
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime
from stackr.runtime.snapshot import SnapshotQuery, take_snapshot
from stackr.runtime.types import ContainerState, ImageState, VolumeState
from stackr.spec.archive import archived, combined
from stackr.spec.model.project import Project
from stackr.stack.context import Context
from stackr.stack.git_files import commit_of

__all__ = [
    "forget",
    "if_possible",
    "read_history",
    "record",
    "record_removal",
    "revision_of_plan",
    "who",
]


async def read_history(runtime: Runtime, project: str) -> list[Revision]:
    """Every revision that the engine keeps, oldest first."""
    return _revisions(await runtime.list_volumes(labels=[f"{labels.HISTORY}={project}"]))


def _revisions(volumes: Iterable[VolumeState]) -> list[Revision]:
    found = [revision for volume in volumes if (revision := revision_of(volume)) is not None]
    return sorted(found, key=lambda revision: revision.number)


async def record(
    runtime: Runtime,
    project: Project,
    wanted: Desired,
    plan: Plan,
    *,
    action: str,
    status: str,
) -> Revision:
    """Keep what was just done as a new revision, and drop the oldest beyond what is kept.

    Where only some services were asked for, the others are as the last revision has them.
    """
    references = sorted({image for s in wanted.services.values() for image in s.images})
    found = await take_snapshot(runtime, SnapshotQuery(project.name, references))
    history = _revisions(v for v in found.volumes if v.labels.get(labels.HISTORY) == project.name)
    images = _images(found.containers)
    done = await revision_of_plan(
        project, plan, history, action=action, status=status, is_partial=wanted.is_partial
    )
    revision = replace(
        done,
        model=wanted.revision,
        images=images,
        digests=await _digests(runtime, images, {i.id: i for i in found.images.values()}),
        replicas=_replicas(found.containers),
    )
    await runtime.create_volume(revision_volume(project.name, revision))
    await _remove(runtime, project.name, outdated(history))
    return revision


async def revision_of_plan(
    project: Project,
    plan: Plan,
    history: Sequence[Revision],
    *,
    action: str,
    status: str,
    is_partial: bool = False,
) -> Revision:
    """What is known of a new revision without a look at the engine. history: oldest first.

    is_partial: of services that were not asked for, the file's part is the last revision's.
    """
    archive = archived(project)
    if is_partial and history:
        archive = combined(check_readable(history[-1]).archive, archive)
    return Revision(
        number=next_number(history),
        at=round(time.time(), 3),
        by=who(),
        action=action,
        status=status,
        digest=project.digest(),
        summary=plan.summary,
        services=sorted({o.resource.service for o in plan.operations if o.resource.service}),
        commit=await asyncio.to_thread(commit_of, project.working_dir),
        archive=archive,
    )


async def record_removal(runtime: Runtime, project: str, action: str) -> None:
    """Keep that containers were removed on purpose, as a revision of what is left."""
    history, containers = await asyncio.gather(
        read_history(runtime, project),
        runtime.list_containers(labels=[f"{labels.PROJECT}={project}"]),
    )
    if not history or history[-1].replicas == (left := _replicas(containers)):
        return
    revision = replace(
        check_readable(history[-1]),
        number=next_number(history),
        at=round(time.time(), 3),
        by=who(),
        action=action,
        status="applied",
        summary={"remove": sum(history[-1].replicas.values()) - sum(left.values())},
        replicas=left,
        services=sorted(n for n, count in history[-1].replicas.items() if left.get(n) != count),
        commit="",
    )
    await runtime.create_volume(revision_volume(project, revision))
    await _remove(runtime, project, outdated(history))


@contextlib.contextmanager
def if_possible(context: Context) -> Iterator[None]:
    """What is done is done: that no revision can be kept of it (a full disk) is a warning."""
    try:
        yield
    except StackrError as error:
        context.warning(f"history: this revision is not kept: {error.message}")


async def forget(runtime: Runtime, project: str) -> None:
    """Remove every revision of the project."""
    await _remove(runtime, project, await read_history(runtime, project))


async def _remove(runtime: Runtime, project: str, revisions: list[Revision]) -> None:
    async def remove(revision: Revision) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await runtime.remove_volume(revision_volume(project, revision).name)

    await asyncio.gather(*map(remove, revisions))


def who() -> str:
    """The user and the host that this runs as; under sudo, who called it."""
    user = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    try:
        user = user or getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    return f"{user}@{socket.gethostname()}"


def _services(containers: Sequence[ContainerState]) -> list[tuple[str, ContainerState]]:
    return sorted(
        (
            (container.labels[labels.SERVICE], container)
            for container in containers
            if labels.SERVICE in container.labels and container.labels.get(labels.ONEOFF) != "True"
        ),
        key=lambda entry: (entry[0], entry[1].name),
    )


def _images(containers: Sequence[ContainerState]) -> dict[str, str]:
    return {
        service: container.labels.get(labels.IMAGE) or container.image_id
        for service, container in _services(containers)
    }


def _replicas(containers: Sequence[ContainerState]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for service, _ in _services(containers):
        counts[service] = counts.get(service, 0) + 1
    return counts


async def _digests(
    runtime: Runtime, images: Mapping[str, str], known: Mapping[str, ImageState]
) -> dict[str, str]:
    """By which each image can be pulled again, where it came from a registry. known: by ID."""

    async def digest(image: str) -> str:
        with contextlib.suppress(NotFound):
            state = known.get(image) or await runtime.inspect_image(image)
            return next(iter(state.digests), "")
        return ""

    ids = sorted(set(images.values()))
    digests = dict(zip(ids, await asyncio.gather(*map(digest, ids)), strict=True))
    return {service: digests[image] for service, image in images.items() if digests[image]}
