"""A project made into one of many isolated copies of itself; pure.

The copy's name is its own already (the stack was loaded under it), and so are the names that
derive from it. Here goes what would make two copies meet: names that the file fixes, subnets,
host ports. What stays shared is told in notes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from stackr.errors import InvalidArgument
from stackr.planner.desired.keys import replicas
from stackr.spec.model.network import Ipam, Network
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Service, ServiceNetwork
from stackr.spec.model.volume import Volume

__all__ = ["Instance", "InstancePort", "Keep", "instance", "instance_name"]

_LONGEST_STACK = 40
_BRIDGE_NAME = "com.docker.network.bridge.name"
_CONTAINER = "container:"

Named = TypeVar("Named", Network, Volume)


@dataclass(frozen=True, slots=True)
class InstancePort:
    """A port that one container of the copy publishes; index: its place in the service's `ports`.

    host_ip "" is every address; app_protocol "" where the stack file has none.
    """

    service: str
    number: int
    index: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays as the file has it, at the price of one copy at a time.

    ports: (service, container port) whose host ports are the file's. subnets: keys of networks
    whose subnet, and addresses in it, are the file's.
    """

    ports: Collection[tuple[str, int]] = ()
    subnets: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """The copy. ports: those that need a host port each. notes: what it shares with others."""

    project: Project
    ports: tuple[InstancePort, ...] = ()
    notes: tuple[str, ...] = ()


def instance_name(stack: str, token: str) -> str:
    """The project's name of a copy; tokens tell copies apart."""
    return f"{stack[:_LONGEST_STACK]}-t-{token}"


def instance(
    project: Project,
    stack: str,
    suffix: str,
    *,
    replicas: Mapping[str, int] | None = None,
    keep: Keep | None = None,
    folder: str = "",
) -> Instance:
    """Isolate a project that was loaded under the copy's name.

    stack: the name that the file gives it, of which built images have theirs. suffix: of names
    that the file fixes. replicas: by service, where they are not the file's. folder: what is in it
    is the copy's alone, so that nothing of it is told as shared, and images that are built of it
    have names of the copy.
    Raises InvalidArgument where `keep` names what is not there.
    """
    keep = keep or Keep()
    _check(project, keep)
    copy = _Copy(project, stack, suffix, replicas or {}, keep, folder)
    services = {name: copy.service(service) for name, service in project.services.items()}
    networks = {key: copy.network(key, network) for key, network in project.networks.items()}
    volumes = {key: copy.volume(key, volume) for key, volume in project.volumes.items()}
    configs = {key: copy.file(config) for key, config in project.configs.items()}
    secrets = {key: copy.file(secret) for key, secret in project.secrets.items()}
    update = {"services": services, "networks": networks, "volumes": volumes}
    return Instance(
        project.model_copy(update={**update, "configs": configs, "secrets": secrets}),
        tuple(port for service in project.services.values() for port in copy.ports(service)),
        tuple(dict.fromkeys(copy.notes)),
    )


def _check(project: Project, keep: Keep) -> None:
    for service, number in keep.ports:
        if service not in project.services:
            raise InvalidArgument(f"no such service: {service}")
        if number not in {port.target for port in project.services[service].ports}:
            raise InvalidArgument(f'service "{service}" publishes no port {number}')
    for key in keep.subnets:
        if key not in project.networks:
            raise InvalidArgument(f"no such network: {key}")


class _Copy:
    """The rewriting of one project; `notes` fills up on the way."""

    def __init__(
        self,
        project: Project,
        stack: str,
        suffix: str,
        replicas: Mapping[str, int],
        keep: Keep,
        folder: str,
    ) -> None:
        self._project = project
        self._stack = stack
        self._suffix = suffix
        self._replicas = replicas
        self._keep = keep
        self._folder = folder
        self._built = {
            service.image
            for service in project.services.values()
            if folder and service.build is not None and service.image
        }
        self._containers = {
            service.container_name: self._unique(service.container_name)
            for service in project.services.values()
            if service.container_name
        }
        self._moved = {
            key
            for key, network in project.networks.items()
            if network.ipam.config and not network.external and key not in keep.subnets
        }
        self.notes: list[str] = []

    def _unique(self, name: str) -> str:
        return name if self._project.name in name else f"{name}-{self._suffix}"

    # --- networks and volumes ------------------------------------------------------------------

    def network(self, key: str, network: Network) -> Network:
        if network.external:
            self.notes.append(f"network {network.name or key} is external: it is shared")
            return network
        update: dict[str, Any] = {}
        if key in self._moved:
            update["ipam"] = Ipam(driver=network.ipam.driver)
            self.notes.append(f"network {key}: its subnet and addresses are left to the engine")
        if _BRIDGE_NAME in network.driver_opts:
            update["driver_opts"] = {
                option: value
                for option, value in network.driver_opts.items()
                if option != _BRIDGE_NAME
            }
        return self._named(key, network, update)

    def volume(self, key: str, volume: Volume) -> Volume:
        if volume.external:
            self.notes.append(f"volume {volume.name or key} is external: it is shared")
            return volume
        device = volume.driver_opts.get("device", "")
        if device.startswith("/") and "bind" in volume.driver_opts.get("o", ""):
            self.notes.append(f"volume {key} is the folder {device}: it is shared")
        return self._named(key, volume, {})

    def file(self, item: FileObject) -> FileObject:
        """A config or secret, which a cluster keeps under a name."""
        if item.external or not item.name:
            return item
        return item.model_copy(update={"name": self._unique(item.name)})

    def _named(self, key: str, item: Named, update: dict[str, Any]) -> Named:
        if item.name:
            update["name"] = self._unique(item.name)
        return item.model_copy(update=update) if update else item

    # --- services ------------------------------------------------------------------------------

    def service(self, service: Service) -> Service:
        self._note_shared(service)
        update: dict[str, Any] = {
            "networks": self._networks(service),
            "ports": tuple(
                port
                if self._is_kept(service, port.target)
                else port.model_copy(update={"published": None})
                for port in service.ports
            ),
            "volumes_from": tuple(self._container(each) for each in service.volumes_from),
            "external_links": tuple(self._link(each) for each in service.external_links),
        }
        for mode in ("network_mode", "ipc", "pid"):
            update[mode] = self._container(getattr(service, mode))
        if service.container_name:
            update["container_name"] = self._containers[service.container_name]
        update |= self._image(service)
        return service.model_copy(update=update)

    def _image(self, service: Service) -> dict[str, Any]:
        """Copies of one folder share what is built of it; those of several folders must not."""
        if service.image in self._built:
            return {
                "image": f"{service.image}{'-' if _has_tag(service.image) else ':'}{self._suffix}"
            }
        if service.build is not None and service.image is None and not self._folder:
            return {"image": f"{self._stack}-{service.name}"}
        return {}

    def ports(self, service: Service) -> Iterator[InstancePort]:
        if service.network_mode:
            return
        for number in range(1, self._replicas.get(service.name, replicas(service)) + 1):
            for index, port in enumerate(service.ports):
                if not self._is_kept(service, port.target):
                    yield InstancePort(
                        service.name,
                        number,
                        index,
                        port.target,
                        port.protocol or "tcp",
                        port.host_ip or "",
                        port.app_protocol or "",
                    )

    def _is_kept(self, service: Service, port: int) -> bool:
        return (service.name, port) in self._keep.ports

    def _networks(self, service: Service) -> dict[str, ServiceNetwork | None]:
        """Addresses of subnets that are not kept go; a fixed container name stays a DNS name."""
        alias = (service.container_name,) if service.container_name else ()
        joined = dict(service.networks)
        for key, network in joined.items():
            update: dict[str, Any] = {}
            if key in self._moved and network is not None:
                update = {"ipv4_address": None, "ipv6_address": None}
            if alias:
                update["aliases"] = (*(network.aliases if network else ()), *alias)
            if update:
                joined[key] = (network or ServiceNetwork()).model_copy(update=update)
        return joined

    def _container(self, mode: str | None) -> Any:
        """`container:NAME[:ro]`, where NAME is a container of this project."""
        if mode is None or not mode.startswith(_CONTAINER):
            return mode
        name, colon, rest = mode.removeprefix(_CONTAINER).partition(":")
        return f"{_CONTAINER}{self._containers.get(name, name)}{colon}{rest}"

    def _link(self, link: str) -> str:
        """The link's own name stays what it was."""
        name, colon, alias = link.partition(":")
        if name not in self._containers:
            return link
        return f"{self._containers[name]}:{alias if colon else name}"

    def _note_shared(self, service: Service) -> None:
        subject = f'service "{service.name}"'
        for attribute in ("network_mode", "pid", "ipc", "uts"):
            mode = getattr(service, attribute) or ""
            container = mode.removeprefix(_CONTAINER)
            if mode == "host":
                self.notes.append(f"{subject}: {attribute}: host is not isolated")
            elif container != mode and container not in self._containers:
                self.notes.append(f"{subject}: {attribute}: container {container} is shared")
        for link in service.external_links:
            if link.partition(":")[0] not in self._containers:
                self.notes.append(f"{subject}: container {link.partition(':')[0]} is shared")
        for volume in service.volumes:
            if volume.type == "bind" and not volume.read_only and not self._is_own(volume.source):
                self.notes.append(f"{subject}: {volume.source} is writable, and shared")

    def _is_own(self, path: str | None) -> bool:
        """Whether a path of the host is in the copy's folder."""
        folder = self._folder.rstrip("/")
        return bool(folder and path) and f"{path}/".startswith(f"{folder}/")


def _has_tag(image: str | None) -> bool:
    return ":" in (image or "").rpartition("/")[2]
