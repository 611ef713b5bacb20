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
    "build sessions": ("POST /build/cancel", "POST /session"),
    "image export": ("GET /images/get", "GET /images/{name:path}/get"),
    "image load": ("POST /images/load",),
    "image attestations": ("GET /images/{name:path}/attestations",),
    "login": ("POST /auth",),
    "container changes": ("GET /containers/{id}/changes",),
    "attach by websocket": ("GET /containers/{id}/attach/ws",),
    "checkpoints": (
        "GET /containers/{id}/checkpoints",
        "POST /containers/{id}/checkpoints",
        "DELETE /containers/{id}/checkpoints/{name}",
    ),
    "plugins": (
        "GET /plugins",
        "GET /plugins/privileges",
        "POST /plugins/pull",
        "POST /plugins/create",
        "GET /plugins/{name:path}/json",
        "POST /plugins/{name:path}/enable",
        "POST /plugins/{name:path}/disable",
        "POST /plugins/{name:path}/upgrade",
        "POST /plugins/{name:path}/push",
        "POST /plugins/{name:path}/set",
        "DELETE /plugins/{name:path}",
    ),
}
_SWARM_ROUTES = (
    *(f"{method} /{kind}" for kind in ("nodes", "services", "tasks") for method in ("GET",)),
    *(f"GET /{kind}" for kind in ("secrets", "configs", "swarm")),
    *(f"POST /{kind}/create" for kind in ("services", "secrets", "configs")),
    *(
        f"{method} /{kind}/{{id}}"
        for kind in ("nodes", "services", "tasks", "secrets", "configs")
        for method in ("GET", "DELETE")
    ),
    *(f"POST /{kind}/{{id}}/update" for kind in ("nodes", "services", "secrets", "configs")),
    *(f"GET /{kind}/{{id}}/logs" for kind in ("services", "tasks")),
    *(f"POST /swarm/{verb}" for verb in ("init", "join", "leave", "update", "unlock")),
    "GET /swarm/unlockkey",
)


def _route(text: str, handler: Handler) -> Route:
    method, _, pattern = text.partition(" ")
    return Route(method, pattern, handler)


ROUTES = (
    *(_route(text, _absent(what)) for what, texts in _REFUSED.items() for text in texts),
    *(_route(text, _absent("swarm mode")) for text in _SWARM_ROUTES),
)
