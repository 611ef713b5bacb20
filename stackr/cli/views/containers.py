"""Containers as `ps` shows them, with Docker Compose's fields.

Source: docker/compose, cmd/formatter/container.go; docker/cli, command/formatter/container.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackr.cli.views.moments import local
from stackr.cli.views.units import age
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, PublishedPort

__all__ = ["COLUMNS", "HEADINGS", "container_fields", "ports_text"]

COLUMNS = ("Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports")
HEADINGS: Mapping[str, str] = {
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "ExitCode": "EXIT CODE",
    "Health": "HEALTH",
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Labels": "LABELS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Mounts": "MOUNTS",
    "Name": "NAME",
    "Names": "NAMES",
    "Networks": "NETWORKS",
    "Ports": "PORTS",
    "Project": "PROJECT",
    "Publishers": "PUBLISHERS",
    "RunningFor": "CREATED",
    "Service": "SERVICE",
    "Size": "SIZE",
    "State": "STATE",
    "Status": "STATUS",
}
_COMMAND_WIDTH = 20
_MOUNT_WIDTH = 15
_SHORT_ID = 12


def container_fields(
    container: ContainerState, *, now: float, whole: bool = False
) -> dict[str, Any]:
    """What a template can name, methods included. now: Unix seconds; whole: nothing is cut."""
    own = container.labels
    command = container.command if whole else _cut(container.command, _COMMAND_WIDTH)
    mounts = [mount.name or mount.source for mount in container.mounts]
    return {
        "Command": f'"{command}"',
        "CreatedAt": _date(container.created),
        "ExitCode": container.exit_code or 0,
        "Health": container.health,
        "ID": container.id if whole else container.id[:_SHORT_ID],
        "Image": container.image,
        "Label": lambda name: own.get(name, ""),
        "Labels": ",".join(f"{key}={own[key]}" for key in sorted(own) if key != labels.SPEC),
        "LocalVolumes": str(sum(mount.type == "volume" for mount in container.mounts)),
        "Mounts": ",".join(mounts if whole else [_cut(name, _MOUNT_WIDTH) for name in mounts]),
        "Name": container.name,
        "Names": container.name,
        "Networks": ",".join(endpoint.network for endpoint in container.networks),
        "Ports": ports_text(container.ports),
        "Project": own.get(labels.PROJECT, ""),
        "Publishers": [_publisher(port) for port in container.ports],
        "RunningFor": f"{age(now - container.created)} ago" if container.created else "",
        "Service": own.get(labels.SERVICE, ""),
        "Size": "0B",  # Docker Compose does not ask for it either
        "State": container.state,
        "Status": container.status or container.state.capitalize(),
    }


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _date(moment: float) -> str:
    """As Go prints a time: `2026-01-02 13:23:37 +0000 UTC`."""
    if not moment:
        return ""
    return f"{local(moment):%Y-%m-%d %H:%M:%S %z %Z}"


def _publisher(port: PublishedPort) -> dict[str, Any]:
    return {
        "URL": port.host_ip,
        "TargetPort": port.container_port,
        "PublishedPort": port.host_port,
        "Protocol": port.protocol,
    }


def ports_text(ports: Iterable[PublishedPort]) -> str:
    """`53/udp, 0.0.0.0:80-81->80-81/tcp, 0.0.0.0:8080->90/tcp`: runs of ports as ranges."""
    runs: dict[tuple[str, str], list[list[int]]] = {}
    singles = []
    for port in sorted(set(ports), key=_place):
        if port.host_port and port.host_port != port.container_port:
            singles.append(
                f"{_host(port.host_ip)}:{port.host_port}->{port.container_port}/{port.protocol}"
            )
            continue
        own = runs.setdefault((port.host_ip if port.host_port else "", port.protocol), [])
        if own and own[-1][1] + 1 == port.container_port:
            own[-1][1] = port.container_port
        else:
            own.append([port.container_port, port.container_port])
    texts = [
        _run(host, first, last, kind) for (host, kind), own in runs.items() for first, last in own
    ]
    return ", ".join([*texts, *singles])


def _place(port: PublishedPort) -> tuple[int, bool, str, int, str]:
    host = port.host_ip
    return port.container_port, ":" in host, host, port.host_port, port.protocol


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _run(host: str, first: int, last: int, protocol: str) -> str:
    span = str(first) if first == last else f"{first}-{last}"
    return f"{_host(host)}:{span}->{span}/{protocol}" if host else f"{span}/{protocol}"
