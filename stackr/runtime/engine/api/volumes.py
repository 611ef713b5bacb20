"""`/volumes`: named local volumes.

Source: Docker Engine API, "Volume".
"""

from __future__ import annotations

import asyncio
from typing import Any

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import string, string_map
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.linux.tree import disk_usage
from stackr.runtime.engine.volume import Volume

__all__ = ["ROUTES", "to_json", "usage"]

_LIST_FILTERS = frozenset({"dangling", "name", "driver", "label"})
_PRUNE_FILTERS = frozenset({"label", "label!", "all"})


def to_json(volume: Volume) -> dict[str, Any]:
    return {
        "CreatedAt": rfc3339(volume.created_ns),
        "Driver": volume.driver,
        "Labels": dict(volume.labels),
        "Mountpoint": str(volume.mountpoint),
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }


async def usage(engine: Engine) -> list[dict[str, Any]]:
    """Every volume with its size and its users, for `/system/df`; walks their folders."""
    volumes = engine.volumes.list()
    sizes = await asyncio.gather(
        *(asyncio.to_thread(disk_usage, volume.mountpoint) for volume in volumes)
    )
    return [
        {
            **to_json(volume),
            "UsageData": {"RefCount": len(engine.volumes.users(volume.name)), "Size": size},
        }
        for volume, size in zip(volumes, sizes, strict=True)
    ]


async def _list(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _LIST_FILTERS)
    dangling = filters.boolean("dangling", default=False) if "dangling" in filters else None
    volumes = [
        to_json(volume)
        for volume in engine.volumes.list()
        if filters.pattern("name", volume.name)
        and filters.exact("driver", volume.driver)
        and filters.labels(volume.labels)
        and dangling in (None, not engine.volumes.users(volume.name))
    ]
    return json_response({"Volumes": volumes, "Warnings": None})


async def _create(engine: Engine, request: Request) -> Response:
    body = await request.json_object()
    if body.get("ClusterVolumeSpec"):
        raise NotSupported("ClusterVolumeSpec: not supported by the embedded engine")
    volume = await engine.volumes.create(
        string(body, "Name") or None,
        string(body, "Driver") or "local",
        string_map(body, "DriverOpts"),
        string_map(body, "Labels"),
    )
    return json_response(to_json(volume), 201)


async def _inspect(engine: Engine, request: Request) -> Response:
    return json_response(to_json(engine.volumes.get(request.params["name"])))


async def _delete(engine: Engine, request: Request) -> Response:
    await engine.volumes.remove(request.params["name"], force=request.flag("force"))
    return Response(204, None)


async def _prune(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _PRUNE_FILTERS)
    takes_all = filters.boolean("all", default=request.api_version < (1, 42))

    def selects(volume: Volume) -> bool:
        return (
            (takes_all or volume.is_anonymous)
            and filters.labels(volume.labels)
            and filters.without_labels(volume.labels)
        )

    deleted, reclaimed = await engine.volumes.prune(selects)
    return json_response({"VolumesDeleted": list(deleted), "SpaceReclaimed": reclaimed})


async def _update(engine: Engine, request: Request) -> Response:
    raise InvalidArgument("volume update is only valid for cluster volumes")


ROUTES = (
    Route("GET", "/volumes", _list),
    Route("POST", "/volumes/create", _create),
    Route("POST", "/volumes/prune", _prune),
    Route("GET", "/volumes/{name}", _inspect),
    Route("PUT", "/volumes/{name}", _update),
    Route("DELETE", "/volumes/{name}", _delete),
)
