"""Two versions of a stack's documents compared as if the first one were there: no engine is asked.

It is the ordinary plan from an imagined cluster to the second version, as `compare` has it for
containers; so it has the same causes, places and risks. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from stackr.planner.plan.model import Change, Kind, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.compare import rename_warnings
from stackr.planner.workloads.dialect import Dialect, Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.workloads import Document, DocumentKind, Observation, ObservedDocument
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.model.volume import Volume

__all__ = ["compare_documents", "moved_to"]


def compare_documents(
    base: Rendered, changed: Rendered, dialect: Dialect, options: UpOptions | None = None
) -> Plan:
    """What bringing up `changed` does where `base` is: changes and risks, no operations."""
    plan = reconcile_documents(changed, _imagined(base, changed, dialect), dialect, options)
    renamed = rename_warnings(base.project.name, changed.project.name)
    return replace(
        plan,
        operations=(),
        changes=tuple(map(_told, plan.changes)),
        warnings=(*plan.warnings, *renamed),
    )


def _told(change: Change) -> Change:
    return replace(change, cause="new") if change.kind is Kind.CREATE else change


def _imagined(base: Rendered, changed: Rendered, dialect: Dialect) -> Observation:
    """A cluster that has all of `base`; and what is external to either, as no file says of it."""
    is_same = base.project.name == changed.project.name
    documents = base.documents if is_same else ()
    external = {each[:2] for each in (*base.external, *changed.external)}
    return Observation(
        changed.project.name,
        tuple(_observed(each, base.images, dialect) for each in documents),
        tuple(ObservedDocument(kind, name, name, 0) for kind, name in sorted(external, key=str)),
    )


def _observed(document: Document, images: Mapping[str, str], dialect: Dialect) -> ObservedDocument:
    if document.kind is DocumentKind.SERVICE and document.name in images:
        document = dialect.pinned(document, images[document.name])
    return ObservedDocument(
        document.kind,
        document.name,
        f"{document.kind.value} {document.name}",
        0,
        document.spec,
        document.labels,
        content=document.content,
    )


# --- another folder ------------------------------------------------------------------------------


def moved_to(project: Project, folder: str) -> Project:
    """The project, as if what it mounts were in another folder beside its file."""
    if project.working_dir == folder:
        return project
    return project.model_copy(
        update={
            "services": dict(_moved_services(project, folder)),
            "volumes": dict(_moved_volumes(project, folder)),
        }
    )


def _moved_services(project: Project, folder: str) -> Iterator[tuple[str, Service]]:
    for name, service in project.services.items():
        mounts = tuple(_moved_mount(each, project.working_dir, folder) for each in service.volumes)
        yield name, service.model_copy(update={"volumes": mounts})


def _moved_mount(mount: ServiceVolume, before: str, folder: str) -> ServiceVolume:
    if mount.type != "bind" or not mount.source:
        return mount
    return mount.model_copy(update={"source": _moved(mount.source, before, folder)})


def _moved_volumes(project: Project, folder: str) -> Iterator[tuple[str, Volume]]:
    for name, volume in project.volumes.items():
        options = {
            key: _moved(value, project.working_dir, folder)
            for key, value in volume.driver_opts.items()
        }
        yield name, volume.model_copy(update={"driver_opts": options})


def _moved(path: str, before: str, folder: str) -> str:
    is_below = path == before or path.startswith(f"{before}/")
    return f"{folder}{path[len(before) :]}" if is_below else path
