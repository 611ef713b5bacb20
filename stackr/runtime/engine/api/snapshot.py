"""`/stackr/v1/snapshot`: what has certain labels or names, of every kind.

stackr's own, beside Docker's API; documented in docs/engine-api.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.errors import NotFound
from stackr.runtime.engine.api import containers, images, networks, volumes
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route, check_query
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.image.model import Image
from stackr.runtime.engine.network.types import Network
from stackr.text import unicode

__all__ = ["ROUTES"]


async def _snapshot(engine: Engine, request: Request) -> Response:
    check_query(request, "label", "image", "container", "network", "volume")
    version, wanted = request.api_version, set(_names(request, "label"))
    named, chosen = _names(request, "network"), _names(request, "volume")

    def is_own(labels: Mapping[str, str]) -> bool:
        return any(f"{key}={value}" in wanted for key, value in labels.items())

    return json_response(
        {
            "Containers": await containers.summaries(
                engine,
                (each for each in engine.containers.list() if is_own(each.config.labels)),
                size=False,
                version=version,
            ),
            "Networks": [
                networks.to_json(network)
                for network in engine.networks.list()
                if network.name in named or is_own(network.spec.labels)
            ],
            "Volumes": [
                volumes.to_json(volume)
                for volume in engine.volumes.list()
                if volume.name in chosen or is_own(volume.labels)
            ],
            "Images": {
                name: images.to_json(engine, image, version)
                for name in _names(request, "image")
                if (image := _image(engine, name)) is not None
            },
            "Referenced": {
                name: containers.inspection(engine, container)
                for name in _names(request, "container")
                if (container := _container(engine, name)) is not None
            },
            "Faults": {
                network.name: found
                for network in engine.networks.list()
                if network.name in named and (found := await _faults(engine, network))
            },
        }
    )


def _names(request: Request, key: str) -> list[str]:
    """Each once, in the order in which they were asked for."""
    return list(dict.fromkeys(unicode(name) for name in request.query.get(key, ())))


def _image(engine: Engine, name: str) -> Image | None:
    try:
        return engine.images.get(name)
    except NotFound:
        return None


def _container(engine: Engine, name: str) -> Container | None:
    try:
        return engine.containers.get(name)
    except NotFound:
        return None


async def _faults(engine: Engine, network: Network) -> list[dict[str, Any]]:
    try:
        return await networks.faults(engine, network.id)
    except NotFound:
        return []  # removed this moment


ROUTES = (Route("GET", "/stackr/v1/snapshot", _snapshot),)
