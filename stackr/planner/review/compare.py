"""Two versions of a stack file compared as if the first one were running: no engine is asked.

The running stack is imagined, and the ordinary plan from it to the second version is made; so a
comparison says what `up` will do, with its causes and cascades. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.config_hash import digest
from stackr.planner.desired.image_build import PlannedBuild
from stackr.planner.desired.limits import resources, restart_policy
from stackr.planner.desired.probe import probe_of
from stackr.planner.desired.project import Desired, DesiredNetwork, DesiredService, DesiredVolume
from stackr.planner.images.building import built
from stackr.planner.observe.observed import Observed
from stackr.planner.observe.orphans import is_told_by_plan
from stackr.planner.plan.model import Change, Kind, Plan
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.runtime.types import (
    Capabilities,
    ContainerState,
    EndpointState,
    ImageState,
    MountState,
    NetworkState,
    VolumeState,
)

__all__ = ["compare", "imagined", "moved", "rename_warnings"]

_R = TypeVar("_R", "DesiredNetwork", "DesiredVolume")


def compare(
    base: Desired,
    changed: Desired,
    options: UpOptions | None = None,
    builds: Mapping[str, PlannedBuild] | None = None,
) -> Plan:
    """What bringing up `changed` does where `base` is up: changes and risks, no operations.

    builds: of images that both versions build, by reference, with a cause where that differs.
    """
    observed = built(replace(imagined(base, changed), builds=builds or {}))
    plan = reconcile(changed, observed, options)
    warnings = tuple(each for each in plan.warnings if not is_told_by_plan(each))
    warnings += rename_warnings(base.project, changed.project)
    changes = tuple(map(_told, plan.changes))
    return replace(plan, operations=(), changes=changes, warnings=warnings)


def rename_warnings(before: str, now: str) -> tuple[str, ...]:
    """Of projects' names: what becomes of the one that has another name now."""
    if before == now:
        return ()
    return (
        f'the project\'s name changes from "{before}" to "{now}": what is up '
        "under the old name stays, and has to be taken down",
    )


def moved(base: Desired, folder: str, to: str) -> Desired:
    """`base`, read in `folder`, as if it had been read in the folder `to`."""
    if folder == to:
        return base
    services = {name: _moved(each, folder, to) for name, each in base.services.items()}
    return replace(base, services=services)


def _moved(service: DesiredService, folder: str, to: str) -> DesiredService:
    text = service.base_labels[labels.SPEC]
    for end in ('"', "/"):
        text = text.replace(f'"{folder}{end}', f'"{to}{end}')
    new = {
        **service.base_labels,
        labels.SPEC: text,
        labels.CONFIG_HASH: digest(text),
        labels.WORKING_DIR: to,
    }
    return replace(service, base_labels=new)


def _told(change: Change) -> Change:
    cause = _CAUSES.get((change.resource.kind, change.kind))
    return change if cause is None else replace(change, cause=cause)


_ENGINE = Capabilities(
    probes=True,
    restart_unhealthy=True,
    listed_limits=True,
    update_labels=True,
    update_lifts=True,
    handover=True,
)
"""stackr's own; another one recreates what this one changes in place."""
_CAUSES = {
    ("container", Kind.CREATE): "new",
    ("network", Kind.CREATE): "new",
    ("volume", Kind.CREATE): "new",
    ("container", Kind.REMOVE): "its service is no longer in the stack file",
}


def imagined(base: Desired, changed: Desired) -> Observed:
    """What an engine has where all of `base` is up and ready.

    Images, and what is external, are there for `changed` too: no file says whether they are.
    """
    services = [service for each in (base, changed) for service in each.services.values()]
    images = {image for service in services for image in service.images}
    is_same = base.project == changed.project
    networks = [*_external(changed.networks.values()), *(base.networks.values() if is_same else ())]
    volumes = [*_external(changed.volumes.values()), *(base.volumes.values() if is_same else ())]
    return Observed(
        project=changed.project,
        containers=tuple(
            container
            for service in (base.services.values() if is_same else ())
            for container in _containers(service)
        ),
        networks={network.name: _network(network) for network in networks},
        volumes={volume.name: _volume(volume) for volume in volumes},
        images={reference: ImageState(_image_id(reference)) for reference in sorted(images)},
        engine=_ENGINE,
    )


def _external(resources: Iterable[_R]) -> Iterator[_R]:
    return (resource for resource in resources if resource.external)


def _image_id(reference: str) -> str:
    return f"sha256:{digest(reference)}"


def _containers(service: DesiredService) -> Iterator[ContainerState]:
    for number in range(1, service.replicas + 1):
        name = service.container_name(number)
        yield ContainerState(
            id=digest(name),
            name=name,
            image=service.image,
            image_id=_image_id(service.image),
            state="running",
            health="healthy" if _is_checked(service) else "",
            resources=resources(service.service),
            restart=restart_policy(service.service),
            labels={**service.base_labels, labels.CONTAINER_NUMBER: str(number)},
            networks=tuple(EndpointState(network, network) for network in service.networks),
            mounts=tuple(MountState("volume", "", name=volume) for volume in service.volumes),
        )


def _is_checked(service: DesiredService) -> bool:
    return service.service.healthcheck is not None or probe_of(service.service) is not None


def _network(network: DesiredNetwork) -> NetworkState:
    return NetworkState(network.name, network.name, labels=network.config.labels)


def _volume(volume: DesiredVolume) -> VolumeState:
    return VolumeState(volume.name, labels=volume.config.labels)
