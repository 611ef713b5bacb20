"""The client's side of stackr's own `/stackr/v1/leases`, which no other engine has.

A lease makes the engine remove a project by itself, and holds host ports for it.
docs/engine-api.md describes the calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackr.errors import NotFound, NotSupported, Unavailable
from stackr.runtime.protocol import SupportsRawRequest

__all__ = [
    "Lease",
    "LeaseRequest",
    "PortWish",
    "Removed",
    "create_lease",
    "disown_lease",
    "end_lease",
    "find_lease",
    "release_lease",
    "renew_lease",
]

_PATH = "/stackr/v1/leases"


@dataclass(frozen=True, slots=True)
class PortWish:
    """A host port is wanted for this port of one container; host_ip "" is every address."""

    service: str
    number: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """ttl_s: None is for ever. watch_owner: the end of this process ends the lease too.

    volumes: named volumes made under the lease, and anonymous ones, go with it. folder: the removal
    of this one ends the lease too, and takes all volumes of the project away.
    """

    project: str
    stack: str = ""
    ttl_s: float | None = None
    watch_owner: bool = True
    volumes: bool = False
    stop_timeout_s: float = 0
    ports: tuple[PortWish, ...] = ()
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """expires: RFC 3339, "" for never. ports: host ports, in the order of the request's."""

    id: str
    project: str
    instance: int
    expires: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """How many of each are gone."""

    containers: int = 0
    networks: int = 0
    volumes: int = 0


async def create_lease(runtime: SupportsRawRequest, request: LeaseRequest) -> Lease:
    """Raises NotSupported for an engine without leases, AlreadyExists where the project has one."""
    body = {
        "project": request.project,
        "stack": request.stack,
        "ttl_s": request.ttl_s,
        "watch_owner": request.watch_owner,
        "volumes": request.volumes,
        "stop_timeout_s": request.stop_timeout_s,
        "ports": [_port(wish) for wish in request.ports],
        **({"folder": _folder(request.folder)} if request.folder else {}),
    }
    try:
        return _lease(await runtime.request_json("POST", _PATH, body=body))
    except NotFound as error:
        raise NotSupported("engine: it has no leases") from error


async def find_lease(runtime: SupportsRawRequest, project: str) -> Lease | None:
    """The lease of this project; None without one, also for an engine without leases."""
    try:
        leases: Any = await runtime.request_json("GET", _PATH)
    except NotFound:
        return None
    return next((_lease(lease) for lease in leases if lease["project"] == project), None)


async def renew_lease(runtime: SupportsRawRequest, id: str, ttl_s: float | None) -> Lease:
    """Count the time from now."""
    body = {"ttl_s": ttl_s}
    return _lease(await runtime.request_json("POST", f"{_PATH}/{id}/renew", body=body))


async def disown_lease(runtime: SupportsRawRequest, id: str) -> Lease:
    """This process's end does not count any more."""
    return _lease(await runtime.request_json("POST", f"{_PATH}/{id}/disown"))


async def release_lease(runtime: SupportsRawRequest, id: str) -> None:
    """Give the lease up, and leave the project as it is."""
    await runtime.request_json("DELETE", f"{_PATH}/{id}", query={"keep": "1"})


async def end_lease(runtime: SupportsRawRequest, id: str) -> Removed:
    """Remove everything of the project now. Raises NotFound where the lease has ended already."""
    answer: Any = await runtime.request_json("DELETE", f"{_PATH}/{id}")
    return Removed(answer["containers"], answer["networks"], answer["volumes"])


def _port(wish: PortWish) -> Mapping[str, object]:
    return {
        "service": wish.service,
        "number": wish.number,
        "container_port": wish.container_port,
        "protocol": wish.protocol,
        "host_ip": wish.host_ip,
    }


def _folder(path: str) -> Mapping[str, object]:
    """With the numbers by which the engine sees that it is the same one. Raises Unavailable."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise Unavailable(f"{path}: {(error.strerror or str(error)).lower()}") from error
    return {"path": path, "device": found.st_dev, "inode": found.st_ino}


def _lease(answer: Any) -> Lease:
    return Lease(
        id=answer["id"],
        project=answer["project"],
        instance=answer["instance"],
        expires=answer["expires"] or "",
        ports=tuple(port["host_port"] for port in answer["ports"]),
    )
