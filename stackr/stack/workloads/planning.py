"""From a stack file to the plan of a cluster: documents, what the cluster has, the difference."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stackr.errors import StackrError
from stackr.planner.dialects import NEWEST, dialect_of
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import Circumstances, reconcile_documents, scaled
from stackr.planner.workloads.revision import KeptRevision, kept_names, recorded, revision_in
from stackr.runtime import labels
from stackr.runtime.workloads import (
    DocumentKind,
    Observation,
    WorkloadCapabilities,
    Workloads,
)
from stackr.spec.model.project import Project

__all__ = ["Outlook", "look", "plan_documents", "rendered", "revisions_in"]


def rendered(
    project: Project,
    options: UpOptions,
    dialect: str,
    capabilities: WorkloadCapabilities = NEWEST,
) -> Rendered:
    """The project as a cluster's documents. Raises InvalidProject for what it cannot do."""
    return dialect_of(dialect).render(scaled(project, options.scale), capabilities)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan is made from. digests: of the images that were asked for.

    unknown: the references whose registry did not answer, each with why.
    """

    wanted: Rendered
    observation: Observation
    digests: Mapping[str, str] | None = None
    unknown: Mapping[str, str] | None = None


async def look(
    cluster: Workloads,
    wanted: Rendered,
    options: UpOptions,
    *,
    digests: Mapping[str, str] | None = None,
) -> Outlook:
    """What the cluster has of the project, and what registries have of its images.

    digests: those that are wanted, which no registry is asked for.
    """
    names: list[tuple[DocumentKind, str]] = [(kind, name) for kind, name, _ in wanted.external]
    observation = await cluster.observe(wanted.project.name, names=names)
    if digests is not None:
        return Outlook(wanted, observation, digests)
    references = _asked_for(wanted, observation, options)
    found = await asyncio.gather(*(_digest(cluster, each) for each in references))
    told = dict(zip(references, found, strict=True))
    return Outlook(
        wanted,
        observation,
        {reference: digest for reference, (digest, _) in told.items() if digest},
        {reference: why for reference, (_, why) in told.items() if why},
    )


def revisions_in(observation: Observation) -> tuple[KeptRevision, ...]:
    """Oldest first."""
    found = (revision_in(record) for record in observation.revisions)
    return tuple(sorted(found, key=lambda kept: kept.revision.number))


def _asked_for(wanted: Rendered, observation: Observation, options: UpOptions) -> list[str]:
    """Those whose digest is to be known: of new images, and of all where `--pull always`."""
    there = {
        each.name: each.labels.get(labels.STACK_IMAGE)
        for each in observation.documents
        if each.kind is DocumentKind.SERVICE
    }
    policies = {
        name: options.pull or service.pull_policy
        for name, service in wanted.project.services.items()
    }
    references = {
        image
        for document in wanted.of_kind(DocumentKind.SERVICE)
        if (image := wanted.images.get(document.name, "")) and "@" not in image
        if there.get(document.name) != image or policies.get(document.key) in ("always", "newer")
    }
    return sorted(references)


async def _digest(cluster: Workloads, reference: str) -> tuple[str, str]:
    """The digest, or why it is not known: the nodes may have the image all the same."""
    try:
        return await cluster.resolve_image(reference), ""
    except StackrError as error:
        return "", error.message


def plan_documents(cluster: Workloads, seen: Outlook, options: UpOptions) -> Plan:
    """The plan that brings the cluster to what is wanted; nothing is changed by making it."""
    records = seen.observation.revisions
    around = Circumstances(recorded(records), seen.digests, kept_names(records))
    plan = reconcile_documents(
        seen.wanted, seen.observation, dialect_of(cluster.dialect), options, around
    )
    warnings = [
        f"image {reference}: its digest is not known, so each node may pull another one: {why}"
        for reference, why in (seen.unknown or {}).items()
    ]
    return replace(plan, warnings=(*plan.warnings, *warnings)) if warnings else plan
