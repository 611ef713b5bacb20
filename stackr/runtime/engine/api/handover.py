"""`/stackr/v1/containers/{id}/...`: take another container's place, and count who is being served.

stackr's own, beside Docker's API; documented in docs/engine-api.md.
"""

from __future__ import annotations

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route

__all__ = ["ROUTES"]


async def _promote(engine: Engine, request: Request) -> Response:
    _check_query(request, "replaces")
    await engine.containers.promote(request.params["id"], replaces=request.text("replaces"))
    return Response(204, None)


async def _connections(engine: Engine, request: Request) -> Response:
    _check_query(request)
    count = await engine.containers.connections(request.params["id"])
    return json_response(
        {
            "Total": count.total,
            "TCP": count.tcp,
            "UDP": count.udp,
            "Relayed": count.relayed,
        }
    )


def _check_query(request: Request, *known: str) -> None:
    for name in request.query:
        if name not in known:
            raise InvalidArgument(f"unknown parameter: {name}")


ROUTES = (
    Route("POST", "/stackr/v1/containers/{id}/promote", _promote),
    Route("GET", "/stackr/v1/containers/{id}/connections", _connections),
)
