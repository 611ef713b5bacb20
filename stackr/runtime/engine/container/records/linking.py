"""The links of containers: who knows whom, by which name, and where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stackr.errors import Conflict, Internal, InvalidArgument, NotFound
from stackr.runtime.engine.container.needs import NetworkAccess
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.store import Store
from stackr.runtime.engine.container.settings.links import Link, parse_link

__all__ = ["Links"]

_BRIDGE = "bridge"


class Links:
    """What is stored is in each container's `host_config.links`."""

    def __init__(self, store: Store, networks: NetworkAccess) -> None:
        self._store = store
        self._networks = networks

    def resolved(self, links: list[str]) -> list[str]:
        """As they are stored. Raises InvalidArgument: clients take NotFound for the image's."""
        found = []
        for text in links:
            name, alias = parse_link(text)
            try:
                found.append(f"{self._store.existing(name).id}:{alias}")
            except NotFound as error:
                raise InvalidArgument(
                    f"could not get container for {name}: {error.message}"
                ) from error
        return found

    def paths(self, container: Container) -> list[str]:
        """As an inspection shows them: "/db:/web/database"."""
        return [
            f"/{other.name}:/{container.name}/{alias}" for other, alias in self._each(container)
        ]

    def names(self) -> Mapping[str, list[str]]:
        """By which others know a container: "/web/database"; by the ID of each that is known."""
        found: dict[str, list[str]] = {}
        for parent in self._store:
            for other, alias in self._each(parent):
                found.setdefault(other.id, []).append(f"/{parent.name}/{alias}")
        return found

    def needed(self, container: Container) -> list[Link]:
        """For a start. Raises Internal, with Docker's text, where one of them does not run."""
        if _BRIDGE not in container.endpoints:
            return []
        found = []
        for other, alias in self._each(container):
            path = f"/{container.name}/{alias}"
            if not other.pid:
                raise Internal(f"Cannot link to a non running container: /{other.name} AS {path}")
            found.append(self._link(other, path))
        return found

    def known(self, container: Container) -> list[Link]:
        """Of those that run."""
        if _BRIDGE not in container.endpoints:
            return []
        return [
            self._link(other, f"/{container.name}/{alias}")
            for other, alias in self._each(container)
            if other.pid
        ]

    def parents(self, container: Container) -> list[Container]:
        """Those that run and know it."""
        return [
            parent
            for parent in self._store
            if parent.host_config.links  # first, as few have any
            and parent.pid
            and any(other is container for other, _ in self._each(parent))
        ]

    def remove(self, path: str) -> None:
        """Forget the link "web/database". Raises Conflict, NotFound, with Docker's texts."""
        name, slash, alias = path.strip("/").rpartition("/")
        if not slash:
            self._store.existing(alias)
            raise Conflict("Conflict, cannot remove the default link name of the container")
        try:
            parent = self._store.existing(name)
        except NotFound as error:
            raise NotFound(f"Cannot get parent /{name} for link name /{path.strip('/')}") from error
        kept = [link for link in parent.host_config.links if parse_link(link)[1] != alias]
        if len(kept) == len(parent.host_config.links):
            raise NotFound(f"No such link: /{path.strip('/')}")
        parent.host_config = parent.host_config.model_copy(update={"links": kept})
        self._store.put(parent)

    def _each(self, container: Container) -> Iterator[tuple[Container, str]]:
        for link in container.host_config.links:
            id, alias = parse_link(link)
            if id in self._store:
                yield self._store.get(id), alias

    def _link(self, other: Container, path: str) -> Link:
        sandbox = self._networks.sandbox(other.id)
        endpoint = sandbox.endpoints.get(_BRIDGE) if sandbox else None
        address = endpoint.ipv4_address or endpoint.ipv6_address if endpoint else ""
        return Link(other.name, other.hostname, path, address, other.config)
