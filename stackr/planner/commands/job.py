"""`run` on a cluster: a service of the stack file as one of its own, which runs once. Pure.

It is one replica that is not started again, rather than the cluster's own kind of job: a Swarm
keeps what has ended of those for good.
"""

from __future__ import annotations

from typing import Final

from stackr.errors import NotFound
from stackr.planner.commands.oneoff import OneOff, changed_service
from stackr.planner.desired.keys import network_keys
from stackr.runtime import labels
from stackr.spec.model.deploy import Deploy, RestartPolicy
from stackr.spec.model.project import Project
from stackr.spec.model.service import ServiceNetwork

__all__ = ["as_job"]

_DIGITS: Final = 12
"""Of the slug, in the job's name."""


def as_job(project: Project, wanted: OneOff) -> tuple[Project, str]:
    """The project with one service more, and its name. Raises NotFound for an unknown service.

    It is called, and answers, by a name of its own, and by the service's only if that is asked for.
    """
    service = project.services.get(wanted.service)
    if service is None:
        raise NotFound(f"no such service: {wanted.service}")
    name = f"{wanted.service}-run-{wanted.slug[:_DIGITS]}"
    changed = changed_service(service, wanted)
    ports = tuple(port.model_copy(update={"mode": "host"}) for port in changed.ports)
    job = changed.model_copy(
        update={
            "name": name,
            "container_name": None,
            "deploy": _deploy(service.deploy or Deploy(), wanted),
            "networks": {
                key: _joined(service.networks.get(key), wanted)
                for key in network_keys(project, service)
            },
            "ports": ports,
            "pre_start": (),
            "restart": None,
            "scale": None,
            "stdin_open": wanted.tty and wanted.stdin,
            "tty": wanted.tty,
        }
    )
    return project.model_copy(update={"services": {**project.services, name: job}}), name


def _deploy(deploy: Deploy, wanted: OneOff) -> Deploy:
    own = {labels.ONEOFF: "True", labels.SLUG: wanted.slug}
    return deploy.model_copy(
        update={
            "mode": "replicated",
            "replicas": 1,
            "restart_policy": RestartPolicy(condition="none"),
            "update_config": None,
            "rollback_config": None,
            "labels": {**deploy.labels, **own},
        }
    )


def _joined(network: ServiceNetwork | None, wanted: OneOff) -> ServiceNetwork | None:
    if wanted.use_aliases:
        own = network or ServiceNetwork()
        return own.model_copy(update={"aliases": (*own.aliases, wanted.service)})
    return network and network.model_copy(update={"aliases": ()})
