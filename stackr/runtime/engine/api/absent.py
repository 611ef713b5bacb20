"""The parts of the Engine API that this engine does not have, each refused by name (501).

A path that the API itself does not know is answered 404 elsewhere.
"""

from __future__ import annotations

from stackr.errors import NotSupported
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response
from stackr.runtime.engine.api.route import Handler, Route

__all__ = ["ROUTES"]


def _absent(what: str) -> Handler:
    async def refuse(engine: Engine, request: Request) -> Response:
        raise NotSupported(f"{what}: not supported by the embedded engine")

    return refuse


_REFUSED = {
    "checkpoints": (
        "GET /containers/{id}/checkpoints",
        "POST /containers/{id}/checkpoints",
        "DELETE /containers/{id}/checkpoints/{name}",
    ),
}


def _route(text: str, handler: Handler) -> Route:
    method, _, pattern = text.partition(" ")
    return Route(method, pattern, handler)


ROUTES = tuple(_route(text, _absent(what)) for what, texts in _REFUSED.items() for text in texts)
