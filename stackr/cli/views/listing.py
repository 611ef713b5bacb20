"""Lists of containers and images, as tables and as JSON lines with Docker Compose's field names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from stackr.cli.views.table import table
from stackr.cli.views.units import age, size
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, ImageState, PublishedPort

__all__ = ["container_json", "containers_table", "images_json", "images_table", "ports_text"]

_COMMAND_WIDTH = 20
_SHORT_ID = 12


def containers_table(containers: Sequence[ContainerState], *, now: float) -> list[str]:
    """The lines of `stackr ps`. now: Unix seconds."""
    return table(
        ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"),
        [
            (
                container.name,
                container.image,
                _short_command(container.command),
                container.labels.get(labels.SERVICE, ""),
                f"{age(now - container.created)} ago" if container.created else "",
                container.status or container.state.capitalize(),
                ports_text(container.ports),
            )
            for container in containers
        ],
    )


def _short_command(command: str) -> str:
    text = command if len(command) <= _COMMAND_WIDTH - 2 else f"{command[: _COMMAND_WIDTH - 3]}…"
    return f'"{text}"'


def ports_text(ports: Iterable[PublishedPort]) -> str:
    """`0.0.0.0:8080->80/tcp, 53/udp`: by container port, published ones with their address."""
    ordered = sorted(ports, key=lambda p: (p.container_port, p.protocol, ":" in p.host_ip))
    return ", ".join(dict.fromkeys(_port_text(port) for port in ordered))


def _port_text(port: PublishedPort) -> str:
    inner = f"{port.container_port}/{port.protocol}"
    if not port.host_port:
        return inner
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{port.host_port}->{inner}"


def container_json(container: ContainerState, *, now: float) -> str:
    """One container as a line of JSON."""
    value: dict[str, Any] = {
        "ID": container.id[:_SHORT_ID],
        "Name": container.name,
        "Project": container.labels.get(labels.PROJECT, ""),
        "Service": container.labels.get(labels.SERVICE, ""),
        "Image": container.image,
        "Command": container.command,
        "State": container.state,
        "Status": container.status,
        "Health": container.health,
        "ExitCode": container.exit_code or 0,
        "CreatedAt": _date(container.created),
        "RunningFor": f"{age(now - container.created)} ago" if container.created else "",
        "Ports": ports_text(container.ports),
        "Publishers": [
            {
                "URL": port.host_ip,
                "TargetPort": port.container_port,
                "PublishedPort": port.host_port,
                "Protocol": port.protocol,
            }
            for port in container.ports
        ],
        "Networks": ",".join(endpoint.network for endpoint in container.networks),
    }
    return json.dumps(value)


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def images_table(
    rows: Sequence[tuple[ContainerState, ImageState | None]], *, now: float
) -> list[str]:
    """The lines of `stackr images`; an image that is gone has no platform, size and age."""
    return table(
        ("CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"),
        [
            (
                container.name,
                *_repository_and_tag(container.image),
                _platform(image),
                _short_digest(container.image_id),
                size(image.size_bytes) if image else "",
                f"{age(now - image.created)} ago" if image and image.created else "",
            )
            for container, image in rows
        ],
    )


def images_json(rows: Sequence[tuple[ContainerState, ImageState | None]]) -> str:
    """All images as one JSON list."""
    listed = []
    for container, image in rows:
        repository, tag = _repository_and_tag(container.image)
        listed.append(
            {
                "ID": container.image_id,
                "ContainerName": container.name,
                "Repository": repository,
                "Tag": tag,
                "Platform": _platform(image),
                "Size": image.size_bytes if image else 0,
                "Created": _date(image.created) if image else "",
            }
        )
    return json.dumps(listed)


def _repository_and_tag(reference: str) -> tuple[str, str]:
    """`registry:5000/web:1` in two; a reference by digest alone has no tag."""
    name = reference.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest" if "@" not in reference else "<none>"
    return repository, tag


def _platform(image: ImageState | None) -> str:
    if image is None:
        return ""
    return "/".join(part for part in (image.os, image.architecture, image.variant) if part)


def _short_digest(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT_ID]
