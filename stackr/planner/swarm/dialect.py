"""Swarm's dialect as the plan knows it: see `planner.workloads.dialect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.planner.change.slots import stored_spec
from stackr.planner.swarm import attributes as words
from stackr.planner.swarm.mounts import stack_volumes
from stackr.planner.swarm.normal import as_sent, normal_image, normal_network, normal_service
from stackr.planner.swarm.render import DIALECT, pinned, refusals, renamed, render, unwritten, uses
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.document import sealed
from stackr.runtime import labels
from stackr.runtime.workloads import (
    Document,
    DocumentKind,
    ObservedDocument,
    WorkloadCapabilities,
)
from stackr.spec.model.project import Project

__all__ = ["Swarm"]


class Swarm:
    """Without state."""

    name = DIALECT

    def render(self, project: Project, capabilities: WorkloadCapabilities) -> Rendered:
        return render(project, capabilities)

    def refusals(
        self, project: Project, capabilities: WorkloadCapabilities
    ) -> list[tuple[str, str]]:
        return refusals(project, capabilities)

    def unwritten(self, project: Project) -> list[tuple[str, str, str]]:
        return unwritten(project)

    def normal(
        self,
        observed: ObservedDocument,
        names: Mapping[str, str],
        wanted: Document | None = None,
    ) -> Document:
        match observed.kind:
            case DocumentKind.SERVICE:
                spec = _observed_service(observed, names, wanted)
            case DocumentKind.NETWORK:
                spec = _observed_network(observed, wanted)
            case _:
                spec = {k: observed.spec[k] for k in sorted(observed.spec) if observed.spec[k]}
        key = observed.labels.get(labels.DOCUMENT_KEY, "")
        return sealed(
            Document(observed.kind, observed.name, key, spec, observed.labels, observed.content)
        )

    def attributes(self, document: Document) -> dict[str, Any]:
        return words.attributes(document)

    def renamed(self, document: Document, names: Mapping[str, str]) -> Document:
        return renamed(document, names)

    def uses(self, document: Document) -> frozenset[str]:
        return uses(document)

    def volumes(self, observed: ObservedDocument, project: str) -> frozenset[str]:
        return stack_volumes(observed.spec, project)

    def pinned(self, document: Document, image: str) -> Document:
        return pinned(document, image)

    def image_of(self, observed: ObservedDocument) -> str:
        task = observed.spec.get("TaskTemplate") or {}
        return str((task.get("ContainerSpec") or {}).get("Image", ""))

    def replaces_tasks(self, path: str) -> bool:
        return words.replaces_tasks(path)

    def is_fixed(self, old: Document, new: Document) -> bool:
        """A network never changes, a service not its mode, a config or secret not what it holds."""
        if old.kind is DocumentKind.NETWORK:
            return True
        if old.kind is DocumentKind.SERVICE:
            return set(old.spec.get("Mode", {})) != set(new.spec.get("Mode", {}))
        return False


def _observed_service(
    observed: ObservedDocument, names: Mapping[str, str], wanted: Document | None
) -> dict[str, Any]:
    spec: dict[str, Any] = normal_service(observed.spec, names)
    task = spec.get("TaskTemplate", {})
    container = task.get("ContainerSpec", {})
    label = observed.labels.get(labels.STACK_IMAGE, "")
    container = {**container, "Image": normal_image(container.get("Image", ""), label)}
    made_of = observed.labels.get(labels.DOCUMENT_HASH)
    if wanted is not None and made_of in (None, wanted.labels.get(labels.DOCUMENT_HASH)):
        sent = wanted.spec.get("TaskTemplate", {}).get("ContainerSpec", {})
        container = as_sent(container, sent)
    task = {**task, "ContainerSpec": container}
    if made_of is None:
        task = _without_platforms(task)
    return {**spec, "TaskTemplate": task}


def _without_platforms(task: Mapping[str, Any]) -> dict[str, Any]:
    """docker's own commands put in those of the image, which no stack file has asked for."""
    placement = {k: v for k, v in task.get("Placement", {}).items() if k != "Platforms"}
    rest = {key: value for key, value in task.items() if key != "Placement"}
    return {**rest, "Placement": placement} if placement else rest


def _observed_network(observed: ObservedDocument, wanted: Document | None) -> dict[str, Any]:
    """What was asked for, which no network can leave later.

    The engine tells addresses that it gave just as those that were asked for, so that stackr's
    networks have a label of it. Of others, they count where the stack file asks for any.
    """
    spec = stored_spec(observed.labels)
    if spec is None:
        asked = wanted is not None and bool(wanted.spec.get("IPAM", {}).get("Config"))
        return normal_network(observed.spec, chosen=not asked)
    return spec
