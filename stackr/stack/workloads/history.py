"""The revisions of a stack that its cluster keeps: read, added to, and forgotten."""

from __future__ import annotations

from dataclasses import replace

from stackr.errors import AlreadyExists
from stackr.planner.desired.config_hash import canonical_json, digest
from stackr.planner.dialects import dialect_of
from stackr.planner.observe.revision import Revision, outdated
from stackr.planner.plan.model import Plan
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.document import key_of
from stackr.planner.workloads.revision import (
    KeptRevision,
    as_observed,
    images_of,
    record_of,
)
from stackr.runtime.workloads import Observation, Workloads
from stackr.stack.history import revision_of_plan
from stackr.stack.workloads.planning import revisions_in

__all__ = ["forget_all", "keep", "kept_revisions"]

_TRIES = 5


async def kept_revisions(cluster: Workloads, project: str) -> list[KeptRevision]:
    """Oldest first."""
    return [*revisions_in(await cluster.observe(project))]


async def keep(
    cluster: Workloads,
    wanted: Rendered,
    plan: Plan,
    *,
    action: str,
    status: str,
    is_partial: bool = False,
) -> Revision:
    """Keep what is there now as a new revision, and drop the oldest beyond what is kept.

    is_partial: of services that were not asked for, the file's part is the last revision's.
    """
    project = wanted.project
    observation = await cluster.observe(project.name)
    history = [kept.revision for kept in revisions_in(observation)]
    dialect = dialect_of(cluster.dialect)
    documents = as_observed(observation, dialect)
    images = images_of(observation, dialect)
    done = await revision_of_plan(
        project, plan, history, action=action, status=status, is_partial=is_partial
    )
    revision = replace(
        done,
        model=digest(canonical_json(sorted(each.hash for each in documents))),
        images=images,
        digests={key: image for key, image in images.items() if "@" in image},
        replicas=await _replicas(cluster, observation),
    )
    revision = await _kept(cluster, KeptRevision(revision, documents, wanted.needs, wanted.jobs))
    for old in outdated(history):
        await cluster.forget_revision(project.name, old.number)
    return revision


async def _kept(cluster: Workloads, kept: KeptRevision) -> Revision:
    """Under the next number that nobody else has taken meanwhile."""
    project = str(kept.revision.archive["name"])
    for _ in range(_TRIES):
        try:
            await cluster.keep_revision(record_of(project, kept))
            break
        except AlreadyExists:
            number = kept.revision.number + 1
            kept = replace(kept, revision=replace(kept.revision, number=number))
    return kept.revision


async def _replicas(cluster: Workloads, observation: Observation) -> dict[str, int]:
    keys = {each.name: key_of(each) for each in observation.documents}
    found = await cluster.status(observation.project)
    return {keys[each.service]: each.desired for each in found if each.service in keys}


async def forget_all(cluster: Workloads, project: str) -> None:
    """Remove every revision of the project."""
    for kept in await kept_revisions(cluster, project):
        await cluster.forget_revision(project, kept.revision.number)
