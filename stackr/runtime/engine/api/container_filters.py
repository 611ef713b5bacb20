"""Which containers a list call shows. Pure, over containers and the filters of the request.

Source: Docker Engine API, "ContainerList"; dockerd's `includeContainerInList` for the details.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.network.types import PublishedPort
from stackr.text import whole_number

__all__ = ["ACCEPTED", "ListOptions", "select"]

_MOST_PORT = 65535
ACCEPTED = frozenset(
    {"ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label"}
    | {"name", "network", "publish", "since", "status", "volume"}
)
_STATUSES = frozenset({"created", "running", "paused", "restarting", "removing", "exited", "dead"})
_HEALTH = frozenset({"starting", "healthy", "unhealthy", "none"})


@dataclass(frozen=True, slots=True)
class ListOptions:
    """limit: the newest so many, 0 for no limit. The two calls look up what a filter names."""

    filters: Filters
    all: bool
    limit: int
    image_id: Callable[[str], str | None]
    network_id: Callable[[str], str | None]
    ports: Callable[[Container], Sequence[PublishedPort]]
    get: Callable[[str], Container]


def select(containers: Sequence[Container], options: ListOptions) -> list[Container]:
    """The containers to show, the newest first. Raises InvalidArgument for a bad filter value."""
    filters = options.filters
    _check(filters)
    before = [options.get(name).created_ns for name in filters.get("before")]
    since = [options.get(name).created_ns for name in filters.get("since")]
    images = {options.image_id(name) or name for name in filters.get("ancestor")}
    networks = {options.network_id(name) or name for name in filters.get("network")}
    wants_stopped = bool(options.all or options.limit or before or since or filters.get("status"))
    chosen = [
        container
        for container in sorted(containers, key=lambda c: (c.created_ns, c.id), reverse=True)
        if (wants_stopped or container.state.status.is_up or _is_restarting(container))
        and all(container.created_ns < limit for limit in before)
        and all(container.created_ns > limit for limit in since)
        and (not images or not images.isdisjoint({container.image_id, container.config.image}))
        and (not networks or _is_on(container, networks, options))
        and _fits(container, filters)
        and _fits_ports(container, filters, options)
    ]
    return chosen[: options.limit] if options.limit else chosen


def _check(filters: Filters) -> None:
    for key, known in (("status", _STATUSES), ("health", _HEALTH)):
        for value in filters.get(key):
            if value not in known:
                raise InvalidArgument(f"invalid filter '{key}={value}'")
    for value in filters.get("exited"):
        if not value.lstrip("-").isdigit():
            raise InvalidArgument(f"invalid filter 'exited={value}'")
    for key in ("publish", "expose"):
        for value in filters.get(key):
            _port_range(value, key)


def _is_restarting(container: Container) -> bool:
    return container.state.status.value == "restarting"


def _fits(container: Container, filters: Filters) -> bool:
    state = container.state
    health = state.health.status if state.health else "none"
    exited = str(state.exit_code) if state.finished_ns and not state.status.is_up else ""
    mounts = [text for m in container.mounts for text in (m.name, m.source, m.destination) if text]
    return (
        filters.prefix("id", container.id)
        and filters.pattern("name", container.name, f"/{container.name}")
        and filters.labels(container.config.labels)
        and filters.exact("status", state.status.value)
        and filters.exact("health", health)
        and filters.exact("exited", exited)
        and filters.any_of("volume", *mounts)
        and not filters.boolean("is-task", default=False)
    )


def _is_on(container: Container, networks: set[str], options: ListOptions) -> bool:
    joined = {container.host_config.network_mode, *container.endpoints}
    return not networks.isdisjoint(options.network_id(name) or name for name in joined)


def _fits_ports(container: Container, filters: Filters, options: ListOptions) -> bool:
    if "publish" in filters:
        ports = {(port.container_port, port.protocol) for port in options.ports(container)}
        if not _any_port(filters, "publish", ports):
            return False
    if "expose" in filters:
        return _any_port(filters, "expose", set(container.config.exposed_numbers))
    return True


def _any_port(filters: Filters, key: str, ports: set[tuple[int, str]]) -> bool:
    for value in filters.get(key):
        first, last, protocol = _port_range(value, key)
        if any(first <= port <= last and kind == protocol for port, kind in ports):
            return True
    return False


def _port_range(text: str, key: str) -> tuple[int, int, str]:
    """ "80", "80/udp" or "8000-8010/tcp"; raises InvalidArgument."""
    ports, _, protocol = text.partition("/")
    first, _, last = ports.partition("-")
    low, high = (whole_number(each, most=_MOST_PORT) for each in (first, last or first))
    if low is None or high is None:
        raise InvalidArgument(f"invalid filter '{key}={text}'")
    return low, high, protocol or "tcp"
