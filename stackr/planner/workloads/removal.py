"""Plans for what a cluster has already: take it down, restart it. Read from labels alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stackr.errors import NotFound
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.payloads import AwaitWorkload, RemoveDocument, RestartWorkload
from stackr.planner.workloads.document import key_of
from stackr.runtime.workloads import DocumentKind, Observation, ObservedDocument

__all__ = ["plan_removal", "plan_restarts", "services_of"]

_REMOVALS = {
    DocumentKind.SERVICE: Action.REMOVE_SERVICE,
    DocumentKind.NETWORK: Action.REMOVE_NETWORK,
    DocumentKind.CONFIG: Action.REMOVE_CONFIG,
    DocumentKind.SECRET: Action.REMOVE_SECRET,
}


def plan_removal(observation: Observation, services: Collection[str] = ()) -> Plan:
    """Services first, then what they used. services: of the stack file; () for all and the rest."""
    builder = Builder(observation.project)
    gone = [
        _remove(builder, document, "down", ()) for document in services_of(observation, services)
    ]
    if not services:
        for document in observation.documents:
            if document.kind is not DocumentKind.SERVICE:
                _remove(builder, document, "down", gone)
    return builder.plan()


def _remove(
    builder: Builder, document: ObservedDocument, cause: str, after: Sequence[Entry]
) -> Entry:
    resource = Resource(document.kind.value, document.name)
    builder.changes.append(Change(resource, Kind.REMOVE, cause))
    payload = RemoveDocument(document.kind, document.id, document.name)
    return builder.add(_REMOVALS[document.kind], resource, cause, payload, after)


def plan_restarts(
    observation: Observation, services: Collection[str], *, timeout_s: float | None = None
) -> Plan:
    """New replicas of each service, one update after another being the engine's to order."""
    builder = Builder(observation.project)
    for document in services_of(observation, services):
        resource = Resource("service", document.name, service=key_of(document))
        builder.changes.append(Change(resource, Kind.RESTART, "asked for"))
        payload = RestartWorkload(document.id, document.version)
        entry = builder.add(Action.RESTART_SERVICE, resource, "asked for", payload)
        wait = AwaitWorkload(document.name, timeout_s=timeout_s)
        builder.add(Action.WAIT_FOR, resource, "asked for", wait, [entry])
    return builder.plan()


def services_of(observation: Observation, services: Collection[str] = ()) -> list[ObservedDocument]:
    """Raises NotFound for one that the cluster does not have. services: () for all."""
    found = [each for each in observation.documents if each.kind is DocumentKind.SERVICE]
    known = {key_of(document) for document in found}
    for name in services:
        if name not in known:
            raise NotFound(f'service "{name}" is not there', hint="create it with stackr up")
    return [each for each in found if not services or key_of(each) in services]
