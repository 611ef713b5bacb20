"""Swarm, plugins and build sessions: the answers of a Docker Engine that has none of them.

Clients ask for these to find out what an engine is (`GET /swarm`, `GET /plugins`), and clean up by
them (`POST /swarm/leave`), so each answer has the status and the text of an engine outside of any
swarm. What would make it another engine (`init`, `join`, installing plugins) is refused by name.
Source: Docker Engine API; moby daemon/cluster/errors.go, daemon/pkg/plugin/errors.go.
"""

from __future__ import annotations

from stackr.errors import Internal, InvalidArgument, NotFound, NotSupported, Unavailable
from stackr.registry.reference import parse_reference
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Handler, Route
from stackr.text import whole_number

__all__ = ["ROUTES"]

_NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect'
    " this node to swarm and try again."
)
_PLUGIN_FILTERS = frozenset({"capability", "enabled"})
_MOST_VERSION = 2**64 - 1


async def _no_manager(engine: Engine, request: Request) -> Response:
    raise Unavailable(_NO_MANAGER)


async def _leave(engine: Engine, request: Request) -> Response:
    raise Unavailable("This node is not part of a swarm")


def _update(what: str) -> Handler:
    """The version comes first, as with Docker."""

    async def refuse(engine: Engine, request: Request) -> Response:
        text = request.text("version")
        if whole_number(text, most=_MOST_VERSION) is None:
            raise InvalidArgument(
                f"invalid {what} version '{text}': strconv.ParseUint: parsing"
                f' "{text}": invalid syntax'
            )
        raise Unavailable(_NO_MANAGER)

    return refuse


async def _logs(engine: Engine, request: Request) -> Response:
    if not (request.flag("stdout") or request.flag("stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    raise Unavailable(_NO_MANAGER)


def _refused(what: str) -> Handler:
    async def refuse(engine: Engine, request: Request) -> Response:
        raise NotSupported(f"{what}: not supported by the embedded engine")

    return refuse


async def _list_plugins(engine: Engine, request: Request) -> Response:
    Filters.parse(request.text("filters"), _PLUGIN_FILTERS).boolean("enabled", default=True)
    return json_response([])


async def _privileges(engine: Engine, request: Request) -> Response:
    """What a plugin of a registry would be allowed; asked before it is installed."""
    parse_reference(request.text("remote"))
    raise NotSupported("plugins: not supported by the embedded engine")


async def _no_plugin(engine: Engine, request: Request) -> Response:
    raise NotFound(f'plugin "{request.params["name"]}" not found')


async def _session(engine: Engine, request: Request) -> Response:
    if not request.headers.get("upgrade"):
        raise InvalidArgument("no upgrade proto in request")
    raise NotSupported("build sessions: not supported by the embedded engine")


async def _cancel_build(engine: Engine, request: Request) -> Response:
    """Builds that can be named are BuildKit's; one that is not known is no error there."""
    if not request.text("id"):
        raise Internal("build ID not provided")
    return Response(200, b"")


_RESOURCES = ("nodes", "services", "tasks", "secrets", "configs")
_NO_MANAGER_ROUTES = (
    *(f"GET /{kind}" for kind in (*_RESOURCES, "swarm", "swarm/unlockkey")),
    *(f"GET /{kind}/{{id}}" for kind in _RESOURCES),
    *(f"DELETE /{kind}/{{id}}" for kind in _RESOURCES if kind != "tasks"),
    *(f"POST /{kind}/create" for kind in ("services", "secrets", "configs")),
    "POST /swarm/unlock",
)
_UPDATES = {
    **{f"POST /{kind}s/{{id}}/update": kind for kind in ("node", "service", "secret", "config")},
    "POST /swarm/update": "swarm",
}
_PLUGIN_VERBS = ("enable", "disable", "upgrade", "push", "set")
_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_NO_MANAGER_ROUTES, _no_manager),
    **{text: _update(what) for text, what in _UPDATES.items()},
    **dict.fromkeys(("GET /services/{id}/logs", "GET /tasks/{id}/logs"), _logs),
    "POST /swarm/leave": _leave,
    "POST /swarm/init": _refused("swarm mode"),
    "POST /swarm/join": _refused("swarm mode"),
    "GET /plugins": _list_plugins,
    "GET /plugins/privileges": _privileges,
    "POST /plugins/pull": _refused("plugins"),
    "POST /plugins/create": _refused("plugins"),
    "GET /plugins/{name:path}/json": _no_plugin,
    **{f"POST /plugins/{{name:path}}/{verb}": _no_plugin for verb in _PLUGIN_VERBS},
    "DELETE /plugins/{name:path}": _no_plugin,
    "POST /session": _session,
    "POST /build/cancel": _cancel_build,
}


def _route(text: str, handler: Handler) -> Route:
    method, _, pattern = text.partition(" ")
    return Route(method, pattern, handler)


ROUTES = tuple(_route(text, handler) for text, handler in _HANDLERS.items())
