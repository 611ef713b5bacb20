"""`/stackr/v1/containers/{id}/...`: take another container's place, and count who is being served.

stackr's own, beside Docker's API; documented in docs/engine-api.md.
"""

from __future__ import annotations

from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route, check_query

__all__ = ["ROUTES"]


async def _promote(engine: Engine, request: Request) -> Response:
    check_query(request, "replaces")
    await engine.containers.promote(request.params["id"], replaces=request.text("replaces"))
    return Response(204, None)


async def _connections(engine: Engine, request: Request) -> Response:
    check_query(request)
    count = await engine.containers.connections(request.params["id"])
    return json_response(
        {
            "Total": count.total,
            "TCP": count.tcp,
            "UDP": count.udp,
            "Relayed": count.relayed,
        }
    )


ROUTES = (
    Route("POST", "/stackr/v1/containers/{id}/promote", _promote),
    Route("GET", "/stackr/v1/containers/{id}/connections", _connections),
)
