"""`/stackr/v1/leases`: projects that the engine removes by itself, and the host ports they hold.

stackr's own, beside the Docker Engine API; docs/engine-api.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import boolean, objects, string
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.lease.folder import Folder
from stackr.runtime.engine.lease.record import Lease, LeasedPort
from stackr.runtime.engine.lease.service import LeaseSpec
from stackr.runtime.engine.linux.peer import peer_process

__all__ = ["ROUTES"]

_KEYS = frozenset(
    {"project", "stack", "ttl_s", "watch_owner", "volumes", "stop_timeout_s", "ports", "folder"}
)
_FOLDER_KEYS = frozenset({"path", "device", "inode"})
_PORT_KEYS = frozenset({"service", "number", "container_port", "protocol", "host_ip"})


def _to_json(lease: Lease) -> dict[str, Any]:
    return {
        "id": lease.id,
        "project": lease.project,
        "stack": lease.stack,
        "instance": lease.instance,
        "state": lease.phase.value,
        "created": rfc3339(lease.created_ns),
        "expires": rfc3339(lease.expires_ns) if lease.expires_ns else None,
        "owner": {"pid": lease.owner.pid} if lease.owner else None,
        "volumes": lease.keep_volumes is not None,
        "ports": [asdict(port) for port in lease.ports],
        "folder": lease.folder or None,
    }


async def _list(engine: Engine, request: Request) -> Response:
    return json_response([_to_json(lease) for lease in engine.leases.list()])


async def _create(engine: Engine, request: Request) -> Response:
    body = await request.json_object()
    _check_keys(body, _KEYS, "lease")
    spec = LeaseSpec(
        project=string(body, "project"),
        stack=string(body, "stack"),
        ttl_s=_seconds(body, "ttl_s"),
        volumes=boolean(body, "volumes"),
        stop_timeout_s=_seconds(body, "stop_timeout_s") or 0,
        ports=tuple(_port(each) for each in objects(body, "ports")),
        folder=_folder(body),
    )
    owner = None
    if boolean(body, "watch_owner", default=True):
        owner = peer_process(request.connection.peer)
        if owner is None:
            raise InvalidArgument(
                "lease: the caller cannot be watched: its process is out of the engine's sight",
                hint='"watch_owner": false makes a lease that its time alone ends',
            )
    return json_response(_to_json(engine.leases.create(spec, owner)), 201)


async def _inspect(engine: Engine, request: Request) -> Response:
    return json_response(_to_json(engine.leases.get(request.params["id"])))


async def _renew(engine: Engine, request: Request) -> Response:
    body = await request.json_object()
    _check_keys(body, frozenset({"ttl_s"}), "renewal")
    lease = engine.leases.renew(request.params["id"], _seconds(body, "ttl_s"))
    return json_response(_to_json(lease))


async def _disown(engine: Engine, request: Request) -> Response:
    return json_response(_to_json(engine.leases.disown(request.params["id"])))


async def _delete(engine: Engine, request: Request) -> Response:
    id = request.params["id"]
    if request.flag("keep"):
        engine.leases.release(id)
        return Response(204, None)
    grace = request.text("stop_timeout_s")
    stop_timeout_s = _seconds({"stop_timeout_s": _number(grace)}, "stop_timeout_s")
    return json_response(asdict(await engine.leases.end(id, stop_timeout_s=stop_timeout_s)))


def _check_keys(body: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    for key in body:
        if key not in known:
            raise InvalidArgument(f'invalid JSON: {what}: unknown key "{key}"')


def _port(body: Mapping[str, Any]) -> LeasedPort:
    _check_keys(body, _PORT_KEYS, "ports")
    return LeasedPort(
        service=string(body, "service"),
        number=_integer(body, "number", 1, 1, 1 << 31),
        container_port=_integer(body, "container_port", 0, 1, 65535),
        protocol=string(body, "protocol", "tcp"),
        host_ip=string(body, "host_ip"),
    )


def _folder(body: Mapping[str, Any]) -> Folder | None:
    given = body.get("folder")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InvalidArgument("invalid JSON: folder: expected an object")
    _check_keys(given, _FOLDER_KEYS, "folder")
    return Folder(
        string(given, "path"),
        _integer(given, "device", -1, 0, 1 << 63),
        _integer(given, "inode", -1, 0, 1 << 64),
    )


def _integer(body: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = body.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise InvalidArgument(f"invalid JSON: {key}: expected a number from {low} to {high}")
    return value


_MOST_SECONDS = 1e300
"""What is more, no float may hold; how long a lease may be, the engine says."""


def _seconds(body: Mapping[str, Any], key: str) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= _MOST_SECONDS:
        raise InvalidArgument(f"invalid JSON: {key}: expected a number of seconds")
    return float(value)


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise InvalidArgument(f'query parameter "stop_timeout_s": not a number: "{text}"') from None


ROUTES = (
    Route("GET", "/stackr/v1/leases", _list),
    Route("POST", "/stackr/v1/leases", _create),
    Route("GET", "/stackr/v1/leases/{id}", _inspect),
    Route("DELETE", "/stackr/v1/leases/{id}", _delete),
    Route("POST", "/stackr/v1/leases/{id}/renew", _renew),
    Route("POST", "/stackr/v1/leases/{id}/disown", _disown),
)
