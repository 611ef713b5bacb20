"""References of a service to other containers: namespaces that it joins, volumes that it mounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stackr.spec.attribute import Namespace
from stackr.spec.declared import of_service
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service

__all__ = ["VOLUMES_FROM", "Reference", "joined", "references"]

_CONTAINER = "container:"
_SERVICE = "service:"
VOLUMES_FROM = "volumes_from"
_MODES = [at for at, mark in of_service(Namespace).items() if "container" in mark.forms]


@dataclass(frozen=True, slots=True)
class Reference:
    """path: the attribute that has it. service: of this project, "" for a container by name."""

    path: str
    service: str
    container: str = ""

    @property
    def name(self) -> str:
        """As the stack file has it."""
        return self.service or self.container


def references(project: Project, service: Service) -> tuple[Reference, ...]:
    """All of a service's references; `container:NAME` of this project is one to its service."""
    found = (_inside(project, each) for each in (*_joined(service), *_volume_sources(service)))
    return tuple(reference for reference in found if reference.service != service.name)


def joined(found: Iterable[Reference]) -> list[Reference]:
    """The references by which a namespace is shared."""
    return [reference for reference in found if reference.path != VOLUMES_FROM]


def _joined(service: Service) -> Iterator[Reference]:
    for path in _MODES:
        mode = getattr(service, path) or ""
        if mode.startswith(_SERVICE):
            yield Reference(path, mode.removeprefix(_SERVICE))
        elif mode.startswith(_CONTAINER):
            yield Reference(path, "", mode.removeprefix(_CONTAINER))


def _volume_sources(service: Service) -> Iterator[Reference]:
    for source in service.volumes_from:
        name = source.removeprefix(_CONTAINER).partition(":")[0]
        is_outside = source.startswith(_CONTAINER)
        yield Reference(VOLUMES_FROM, *(("", name) if is_outside else (name, "")))


def _inside(project: Project, reference: Reference) -> Reference:
    if reference.service:
        return reference
    owners = (n for n, each in project.services.items() if each.container_name)
    for name in owners:
        if project.services[name].container_name == reference.container:
            return Reference(reference.path, name)
    return reference
