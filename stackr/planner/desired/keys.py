"""What a service names or counts: its images, networks and volumes, its containers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackr.spec.model.project import Project
from stackr.spec.model.service import Service, ServiceNetwork

__all__ = ["ANONYMOUS", "image_name", "mounted_image", "network_keys", "replicas", "volume_keys"]

ANONYMOUS = re.compile(r"[0-9a-f]{64}")
"""The names that engines make up for volumes."""


def image_name(project: Project, service: Service) -> str:
    """The image's reference; one that is built has the project's and the service's name."""
    return service.image or f"{project.name}-{service.name}"


def replicas(service: Service) -> int:
    """How many containers are asked for: `scale`, else `deploy.replicas`, else 1."""
    if service.scale is not None:
        return service.scale
    if service.deploy is not None and service.deploy.replicas is not None:
        return service.deploy.replicas
    return 1


def mounted_image(project: Project, source: str) -> str:
    """The image that a volume of type image names: by its reference, or by a service's name."""
    service = project.services.get(source)
    return source if service is None else image_name(project, service)


def network_keys(project: Project, service: Service) -> list[str]:
    """The networks that the service joins, the main one first: by priority, then by name."""
    if service.network_mode or not project.networks:
        return []
    joined = service.networks or {"default": None}
    return sorted(joined, key=lambda key: (-_priority(joined[key]), key))


def _priority(network: ServiceNetwork | None) -> int:
    return network.priority if network else 0


def volume_keys(service: Service) -> Iterator[str]:
    """The keys of `Project.volumes` that the service mounts."""
    for volume in service.volumes:
        if volume.type == "volume" and volume.source:
            yield volume.source
