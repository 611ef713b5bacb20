"""What should exist for a project: its services' containers, networks and volumes.

Names and labels are Docker Compose's. A container's configuration is only made for a container
that is to be created; to see that nothing changed takes the service's hash alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stackr.errors import InvalidArgument, NotFound
from stackr.planner.desired.config_hash import canonical_json, digest, service_spec, sparse
from stackr.planner.desired.container_config import container_config
from stackr.planner.desired.contents import content_hashes
from stackr.planner.desired.host_ports import check_host_ports, published_at
from stackr.planner.desired.init_steps import step_images
from stackr.planner.desired.keys import (
    image_name,
    mounted_image,
    network_keys,
    replicas,
    volume_keys,
)
from stackr.planner.desired.ownership import copy_labels
from stackr.planner.desired.references import Reference, references
from stackr.planner.desired.restart_unhealthy import restart_unhealthy_label
from stackr.planner.plan.graph import closure, topological_order
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig
from stackr.runtime.types import IpamPool, NetworkConfig, VolumeConfig
from stackr.spec.attribute import Effect, OnChange
from stackr.spec.declared import of_service
from stackr.spec.decode import EXTENSION
from stackr.spec.model.extension import ServiceExtension
from stackr.spec.model.network import Network
from stackr.spec.model.project import Project
from stackr.spec.model.service import Dependency, Service
from stackr.spec.model.volume import Volume
from stackr.spec.structs import struct_of

__all__ = [
    "Desired",
    "DesiredNetwork",
    "DesiredService",
    "DesiredVolume",
    "desired",
]

SPEC_FORMAT = "1"
_UNRECORDED = {at for at, mark in of_service(OnChange).items() if mark.effect is Effect.NONE}
_IN_EXTENSION = [
    name for name in struct_of(ServiceExtension).fields if f"{EXTENSION}.{name}" not in _UNRECORDED
]
"""What of `x-stackr` goes into a service's containers."""


@dataclass(frozen=True, slots=True)
class DesiredNetwork:
    """spec: the resolved network as JSON, for a diff. external: it must be there already."""

    key: str
    name: str
    external: bool
    config: NetworkConfig
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DesiredVolume:
    key: str
    name: str
    external: bool
    config: VolumeConfig
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DesiredService:
    """One service. spec: what its containers are made of, as JSON; hash: of that.

    image: the reference. mounted_images: those of its volumes of type image. networks, volumes:
    names in the engine. references: to the containers whose namespaces or volumes its own use.
    host_ports: see `UpOptions`. is_target: it was asked for, not only
    needed by one that was.
    """

    name: str
    replicas: int
    spec: Mapping[str, Any]
    hash: str
    image: str
    mounted_images: tuple[str, ...]
    platform: str
    pull_policy: str
    is_built: bool
    depends_on: Mapping[str, Dependency]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    references: tuple[Reference, ...]
    is_target: bool
    project: Project
    service: Service
    base_labels: Mapping[str, str]
    host_ports: Mapping[tuple[str, int, int], int] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, str]:
        """The labels that say what its containers are made of, and what they follow."""
        named = (labels.SPEC, labels.CONFIG_HASH, labels.REVISION, labels.FORMAT)
        return {name: self.base_labels[name] for name in (*named, labels.DEPENDS_ON)}

    @property
    def orders(self) -> dict[str, str | None]:
        """The labels that tell the engine what to do with its containers; None for none."""
        own = {**self.service.labels, **self.base_labels}
        return {labels.RESTART_UNHEALTHY: own.get(labels.RESTART_UNHEALTHY)}

    @property
    def shares(self) -> tuple[str, ...]:
        """The services that it refers to, so that their containers are recreated together."""
        return tuple(sorted({each.service for each in self.references if each.service}))

    @property
    def images(self) -> tuple[str, ...]:
        """Every image that its containers and their steps need, their own first."""
        return tuple(dict.fromkeys((self.image, *self.mounted_images, *step_images(self.spec))))

    def container_name(self, number: int) -> str:
        return self.service.container_name or f"{self.project.name}-{self.name}-{number}"

    def config(
        self, number: int, names: Mapping[str, list[str]], *, image_id: str, replaces: str = ""
    ) -> ContainerConfig:
        """The configuration of container `number`.

        names: every service's containers. image_id: "" if the image is not here yet.
        replaces: the name of the container whose place it takes.
        """
        own = {
            **self.service.labels,
            **self.base_labels,
            labels.CONTAINER_NUMBER: str(number),
        }
        if image_id:
            own[labels.IMAGE] = image_id
        if replaces:
            own[labels.REPLACE] = replaces
        return container_config(
            self.project,
            published_at(self.service, number, self.host_ports),
            self.container_name(number),
            own,
            lambda service: names.get(service, []),
        )


@dataclass(frozen=True, slots=True)
class Desired:
    """A project, as the options select from it. services: in dependency order.

    known_services: all of the stack file, disabled ones too; containers of others are orphans.
    is_partial: only some services were asked for. working_dir: the project's folder, "" if none.
    """

    project: str
    services: Mapping[str, DesiredService]
    networks: Mapping[str, DesiredNetwork]
    volumes: Mapping[str, DesiredVolume]
    known_services: frozenset[str]
    is_partial: bool = False
    warnings: tuple[str, ...] = ()
    policy: Mapping[str, str] = field(default_factory=dict)
    """Risk's identifier -> error, warn or ignore."""
    revision: str = ""
    """12 hex digits of the hash of all services, as containers bear it."""
    working_dir: str = ""


def desired(
    project: Project,
    options: UpOptions | None = None,
    *,
    all_resources: bool = False,
    bound_files: bool = True,
) -> Desired:
    """What should exist once the options' services are up.

    Files that go into containers are read for their hashes.
    all_resources: every network and volume of the project, also those that no service uses.
    bound_files: the engine mounts files of this machine, so what they hold counts.
    Raises InvalidArgument or InvalidProject for names that no service has, a cycle, host ports
    that clash, and a container name that several replicas would share.
    """
    options = options or UpOptions()
    chosen, targets = _select(project, options)
    needs = {name: _needs(project, project.services[name]) for name in chosen}
    order = topological_order(needs)
    replicas = {name: _replicas(project.services[name], options) for name in order}
    check_host_ports(project, sorted(replicas.items()))
    specs = {name: service_spec(project.services[name]) for name in order}
    revision = digest(canonical_json([*specs.values()]))[:12]
    services = {
        name: replace(
            _service(
                project,
                project.services[name],
                specs[name],
                replicas[name],
                is_target=name in targets,
                revision=revision,
                bound_files=bound_files,
            ),
            host_ports=options.host_ports,
        )
        for name in order
    }
    network_names = {key for name in order for key in network_keys(project, project.services[name])}
    volume_names = {key for name in order for key in volume_keys(project.services[name])}
    if all_resources:
        network_names |= project.networks.keys()
        volume_names |= project.volumes.keys()
    return Desired(
        project=project.name,
        services=services,
        networks={key: _network(project, key) for key in sorted(network_names)},
        volumes={
            key: _volume(project, key) for key in sorted(volume_names) if key in project.volumes
        },
        known_services=frozenset(project.services) | frozenset(project.disabled_services),
        is_partial=bool(options.services),
        warnings=project.warnings,
        policy=_policy(project),
        revision=revision,
        working_dir=project.working_dir,
    )


def _policy(project: Project) -> Mapping[str, str]:
    return project.stackr.policy if EXTENSION in project.extensions else {}


def _select(project: Project, options: UpOptions) -> tuple[set[str], set[str]]:
    """The services that come up, and which of them were asked for."""
    for name in (*options.services, *options.scale):
        if name not in project.services:
            raise NotFound(f"no such service: {name}")
    targets = set(options.services) or set(project.services)
    if options.no_deps:
        return targets, targets
    needs = {name: _needs(project, service) for name, service in project.services.items()}
    return closure(targets, needs) & set(project.services), targets


def _needs(project: Project, service: Service) -> set[str]:
    return {
        *service.depends_on,
        *(each.service for each in references(project, service) if each.service),
        *(link.partition(":")[0] for link in service.links),
    }


def _replicas(service: Service, options: UpOptions) -> int:
    count = options.scale.get(service.name, replicas(service))
    if count > 1 and service.container_name:
        raise InvalidArgument(
            f'service "{service.name}": container name "{service.container_name}" cannot be '
            f"shared by {count} replicas",
            hint="remove container_name to scale the service",
        )
    return count


def _service(
    project: Project,
    service: Service,
    spec: Mapping[str, Any],
    replicas: int,
    *,
    is_target: bool,
    revision: str,
    bound_files: bool,
) -> DesiredService:
    image = image_name(project, service)
    spec = {**spec, "image": image, **_extension_spec(service)}
    spec |= content_hashes(project, service, spec, bound_files=bound_files)
    text = canonical_json(spec)
    hashed = digest(text)
    keys = network_keys(project, service)
    return DesiredService(
        name=service.name,
        replicas=replicas,
        spec=spec,
        hash=hashed,
        image=image,
        mounted_images=tuple(
            mounted_image(project, volume.source or "")
            for volume in service.volumes
            if volume.type == "image"
        ),
        platform=service.platform or "",
        pull_policy=service.pull_policy or "",
        is_built=service.build is not None,
        depends_on={
            name: needed
            for name, needed in sorted(service.depends_on.items())
            if name in project.services
        },
        networks=tuple(project.networks[key].name or key for key in keys),
        volumes=tuple(
            sorted(
                {
                    project.volumes[key].name or key
                    for key in volume_keys(service)
                    if key in project.volumes
                }
            )
        ),
        references=references(project, service),
        is_target=is_target,
        project=project,
        service=service,
        base_labels=_service_labels(project, service, text, hashed, revision),
    )


def _extension_spec(service: Service) -> dict[str, Any]:
    if EXTENSION not in service.extensions:
        return {}
    found = {name: getattr(service.stackr, name) for name in _IN_EXTENSION}
    given = {name: sparse(value) for name, value in found.items() if value is not None}
    if given.get("restart_unhealthy") == {}:
        given["restart_unhealthy"] = True
    return {EXTENSION: given} if given else {}


def _service_labels(
    project: Project, service: Service, spec: str, hashed: str, revision: str
) -> dict[str, str]:
    restarts = restart_unhealthy_label(service)
    return {
        **({} if restarts is None else {labels.RESTART_UNHEALTHY: restarts}),
        labels.PROJECT: project.name,
        labels.SERVICE: service.name,
        labels.ONEOFF: "False",
        labels.CONFIG_HASH: hashed,
        labels.DEPENDS_ON: ",".join(
            f"{name}:{needed.condition}:{str(needed.restart).lower()}"
            for name, needed in sorted(service.depends_on.items())
        ),
        labels.WORKING_DIR: project.working_dir,
        labels.CONFIG_FILES: ",".join(project.compose_files),
        labels.VERSION: labels.COMPOSE_VERSION,
        labels.SPEC: spec,
        labels.REVISION: revision,
        labels.FORMAT: SPEC_FORMAT,
        **copy_labels(project),
    }


def _network(project: Project, key: str) -> DesiredNetwork:
    network: Network = project.networks[key]
    name = network.name or key
    spec = sparse(network)
    config = NetworkConfig(
        name=name,
        driver=network.driver or "",
        options=network.driver_opts,
        ipam_driver=network.ipam.driver or "",
        pools=tuple(
            IpamPool(pool.subnet or "", pool.gateway or "", pool.ip_range or "", pool.aux_addresses)
            for pool in network.ipam.config
        ),
        internal=network.internal,
        attachable=network.attachable,
        enable_ipv4=network.enable_ipv4,
        enable_ipv6=network.enable_ipv6,
        labels={**network.labels, **_labels_of(project, labels.NETWORK, key, spec)},
    )
    return DesiredNetwork(key, name, network.external, config, spec)


def _volume(project: Project, key: str) -> DesiredVolume:
    volume: Volume = project.volumes[key]
    name = volume.name or key
    spec = sparse(volume)
    config = VolumeConfig(
        name=name,
        driver=volume.driver or "",
        options=volume.driver_opts,
        labels={**volume.labels, **_labels_of(project, labels.VOLUME, key, spec)},
    )
    return DesiredVolume(key, name, volume.external, config, spec)


def _labels_of(
    project: Project, key_label: str, key: str, spec: Mapping[str, Any]
) -> dict[str, str]:
    text = canonical_json(spec)
    return {
        labels.PROJECT: project.name,
        key_label: key,
        labels.VERSION: labels.COMPOSE_VERSION,
        labels.CONFIG_HASH: digest(text),
        labels.SPEC: text,
        **copy_labels(project),
    }
