"""What a copy of a stack is on a cluster's nodes, beyond what it is anywhere: see `instance`. Pure.

Ports are the nodes' own: each replica answers at a port that its node chooses, so that copies do
not meet, and each replica can be told apart. A volume that one replica alone has goes with its
task, as nobody could remove it later from a node that cannot be reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from stackr.planner.desired.keys import replicas
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.parts import Port
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service

__all__ = ["on_nodes"]


def on_nodes(
    copy: Project,
    *,
    kept: Collection[tuple[str, int]] = (),
    scale: Mapping[str, int] | None = None,
    stop_timeout_s: float | None = None,
) -> Project:
    """kept: (service, container port) of those that stay as the file has them. scale: replicas, by
    service, where they are not the file's. stop_timeout_s: of all services; None for their own.
    """
    alone = _alone(copy, scale or {})
    services = {
        name: service.model_copy(
            update={
                "ports": tuple(
                    port if (name, port.target) in kept else _of_node(port)
                    for port in service.ports
                ),
                "volumes": tuple(_anonymous(each, alone) for each in service.volumes),
                **({} if stop_timeout_s is None else {"stop_grace_period": stop_timeout_s}),
            }
        )
        for name, service in copy.services.items()
    }
    return copy.model_copy(update={"services": services})


def _of_node(port: Port) -> Port:
    return port.model_copy(update={"mode": "host", "published": None, "host_ip": None})


def _anonymous(mounted: ServiceVolume, alone: Collection[str]) -> ServiceVolume:
    if mounted.type == "volume" and mounted.source in alone:
        return mounted.model_copy(update={"source": None})
    return mounted


def _alone(project: Project, scale: Mapping[str, int]) -> set[str]:
    """The volumes that one replica mounts, and nobody else, and that only a node has."""
    users = Counter(
        mounted.source
        for service in project.services.values()
        for mounted in service.volumes
        for _ in range(1 if _is_single(service, scale) else 2)
    )
    return {
        key
        for key, volume in project.volumes.items()
        if users[key] == 1
        and not (volume.external or volume.driver_opts)
        and volume.driver in (None, "local", "default")
    }


def _is_single(service: Service, scale: Mapping[str, int]) -> bool:
    """Whether one task at a time is all that there is of it."""
    mode = (service.deploy.mode if service.deploy else None) or ""
    count = scale.get(service.name, replicas(service))
    return count == 1 and not service.pre_start and not mode.startswith("global")
