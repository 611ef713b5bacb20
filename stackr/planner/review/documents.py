"""A plan of documents as it is read: what new services are, and where it is all written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from stackr.planner.change.diff import field_changes
from stackr.planner.plan.model import Change, FieldChange, Kind, Origin, Plan, Source
from stackr.planner.review.provenance import source_of
from stackr.planner.workloads.dialect import Dialect, Rendered
from stackr.planner.workloads.document import HASH_DIGITS
from stackr.runtime.workloads import Document, DocumentKind
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service

__all__ = ["for_document_readers"]

_OUTLINE = ("image", "ports", "volumes", "configs", "secrets")
"""What is told of a new service without being asked."""
_SECTIONS: Mapping[str, str] = {kind.value: f"{kind.value}s" for kind in DocumentKind}
_ALSO: Mapping[str, str] = {
    "deploy.resources.limits.cpus": "cpus",
    "deploy.resources.limits.memory": "mem_limit",
    "deploy.resources.limits.pids": "pids_limit",
    "deploy.resources.reservations.memory": "mem_reservation",
    "deploy.restart_policy": "restart",
    "deploy.replicas": "scale",
}
"""Where else what the engine has under one name may be written."""
_CONTENT = ".sha256"
"""At the end of a path: what a config or secret holds."""
_SHM = "/dev/shm"
_ITEM = re.compile(r"(?P<list>\w+)\[(?P<name>.+?)\]")
"""A list's item by what tells it from the others, as a plan names it."""


def for_document_readers(
    plan: Plan, rendered: Rendered, dialect: Dialect, *, detail: bool = False
) -> Plan:
    """The plan with where its values are written; with all of what is created, for `detail`."""
    documents = {(each.kind.value, each.key): each for each in rendered.documents}
    by_name = {(each.kind.value, each.name): each for each in rendered.documents}
    for each in rendered.of_kind(DocumentKind.NETWORK):  # one that changed has another name
        by_name["network", f"{each.name}-{each.hash[:HASH_DIGITS]}"] = each

    def told(change: Change) -> Change:
        resource = change.resource
        key = resource.service or resource.name
        document = by_name.get((resource.kind, resource.name)) or documents.get(
            (resource.kind, key)
        )
        if document is None or change.kind in (Kind.REMOVE, Kind.ORPHAN):
            return change
        return _placed(_filled(change, document, dialect, detail=detail), document, rendered)

    project = rendered.project
    return replace(
        plan,
        changes=tuple(map(told, plan.changes)),
        risks=tuple(replace(r, source=source_of(project, r.path)) for r in plan.risks),
    )


def _filled(change: Change, document: Document, dialect: Dialect, *, detail: bool) -> Change:
    if change.kind is not Kind.CREATE:
        return change
    found = dialect.attributes(document)
    if not detail:
        is_service = document.kind is DocumentKind.SERVICE
        found = {key: found[key] for key in _OUTLINE if key in found} if is_service else {}
    return replace(change, fields=field_changes({}, found, forces_recreate=False))


def _placed(change: Change, document: Document, rendered: Rendered) -> Change:
    project = rendered.project
    base = f"{_SECTIONS[document.kind.value]}.{document.key}"
    fields = tuple(
        field
        if field.origin is Origin.DRIFT or field.new is None
        else replace(field, source=_source(project, base, document.key, field))
        for field in change.fields
    )
    return replace(change, source=source_of(project, base), fields=fields)


def _source(project: Project, base: str, key: str, field: FieldChange) -> Source | None:
    for path in _paths(project, base, key, field.path):
        found = project.provenance(path)
        if found is not None and found.line:
            return source_of(project, path, before=field)
    return source_of(project, base, before=field)


def _paths(project: Project, base: str, key: str, path: str) -> list[str]:
    """Where a field may be written, the likeliest first, then what is above it."""
    item = _ITEM.match(path)
    name = _plain(project, item["name"]) if item is not None else ""
    paths = [f"{item['list']}.{name}"] if item is not None and path.endswith(_CONTENT) else []
    paths.append(f"{base}.{_by_index(project, key, path)}")
    paths += [f"{base}.{other}" for at, other in _ALSO.items() if path.startswith(at)]
    above = path
    while "." in above:
        above = above.rpartition(".")[0]
        paths.append(f"{base}.{above}")
    return paths


def _plain(project: Project, name: str) -> str:
    """The stack file's own name of a config, secret or volume."""
    return name.removeprefix(f"{project.name}_")


def _by_index(project: Project, key: str, path: str) -> str:
    """`volumes[/data].source` as `volumes[0].source`."""
    match = _ITEM.match(path)
    service = project.services.get(key)
    if match is None or service is None:
        return path
    names = {match["name"], _plain(project, match["name"])}
    for index, item in enumerate(getattr(service, match["list"], ())):
        if names & {getattr(item, "target", None), getattr(item, "source", None)}:
            return f"{match['list']}[{index}]{path[match.end() :]}"
    return _other_mount(service, match["name"]) or match["list"]


def _other_mount(service: Service, target: str) -> str:
    """Where a mount is written that is none of `volumes`; "" for any other."""
    if target == _SHM and service.shm_size:
        return "shm_size"
    targets = [written.partition(":")[0] for written in service.tmpfs]
    return f"tmpfs[{targets.index(target)}]" if target in targets else ""
