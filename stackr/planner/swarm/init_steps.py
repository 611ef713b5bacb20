"""The steps of `pre_start` as jobs: once, whenever they change, and before any task of the service.

A step has the service's volumes, files, networks and place, and of its image what the service would
have of it. It has no name on the networks: nobody is to take it for the service.
Source: Compose Specification, "pre_start".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stackr.planner.swarm.draft import Draft
from stackr.spec.model.deploy import Deploy
from stackr.spec.model.parts import InitStep, ServiceNetwork
from stackr.spec.model.service import Service

__all__ = ["init_steps"]


def init_steps(draft: Draft) -> Iterator[Draft]:
    for index, step in enumerate(draft.service.pre_start):
        yield replace(draft, service=_service(draft.service, step), runs_once=True, step=index)


def _service(service: Service, step: InitStep) -> Service:
    """The step as a service; its entrypoint is the image's."""
    is_own = step.image in (None, service.image)
    placed = service.deploy or Deploy()
    return Service(
        name=service.name,
        image=step.image or service.image,
        command=step.command,
        environment={**service.environment, **step.environment},
        user=step.user or (service.user if is_own else None),
        working_dir=step.working_dir or service.working_dir,
        platform=service.platform,
        volumes=service.volumes,
        configs=service.configs,
        secrets=service.secrets,
        networks={name: ServiceNetwork() for name in service.networks},
        network_mode=service.network_mode,
        logging=service.logging,
        deploy=Deploy(placement=placed.placement.model_copy(update={"max_replicas_per_node": 0})),
    )
