"""An engine outside of any swarm, without plugins: Docker's statuses and texts."""

from __future__ import annotations

from typing import cast

import pytest

from stackr.errors import StackrError
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Connection, Request
from stackr.runtime.engine.api.route import Router
from stackr.runtime.engine.api.routes import ROUTES

NO_MANAGER = "This node is not a swarm manager. "
NO_PLUGIN = 'plugin "a/b:1" not found'


@pytest.mark.parametrize(
    ("call", "query", "status", "text"),
    [
        ("GET /swarm", {}, 503, NO_MANAGER),
        ("GET /swarm/unlockkey", {}, 503, NO_MANAGER),
        ("POST /swarm/leave", {"force": "1"}, 503, "This node is not part of a swarm"),
        ("POST /swarm/update", {"version": "1"}, 503, NO_MANAGER),
        ("POST /swarm/update", {}, 400, "invalid swarm version ''"),
        ("POST /swarm/init", {}, 501, "swarm mode: not supported"),
        ("GET /nodes", {}, 503, NO_MANAGER),
        ("DELETE /nodes/x", {}, 503, NO_MANAGER),
        ("POST /nodes/x/update", {"version": "²"}, 400, "invalid node version '²'"),
        ("GET /services", {}, 503, NO_MANAGER),
        ("POST /services/create", {}, 503, NO_MANAGER),
        ("GET /services/x/logs", {"stdout": "1"}, 503, NO_MANAGER),
        ("GET /services/x/logs", {}, 400, "Bad parameters: you must choose at least one stream"),
        ("GET /tasks/x", {}, 503, NO_MANAGER),
        ("POST /secrets/create", {}, 503, NO_MANAGER),
        ("DELETE /configs/x", {}, 503, NO_MANAGER),
        ("GET /plugins/a/b:1/json", {}, 404, NO_PLUGIN),
        ("POST /plugins/a/b:1/enable", {"timeout": "0"}, 404, NO_PLUGIN),
        ("DELETE /plugins/a/b:1", {}, 404, NO_PLUGIN),
        ("POST /plugins/pull", {"remote": "a/b:1"}, 501, "plugins: not supported"),
        ("GET /plugins/privileges", {"remote": ""}, 400, "invalid reference format"),
        ("GET /plugins", {"filters": '{"nonesuch":["1"]}'}, 400, "invalid filter 'nonesuch'"),
        ("POST /session", {}, 400, "no upgrade proto in request"),
        ("POST /build/cancel", {}, 500, "build ID not provided"),
    ],
)
async def test_what_is_not_here(call: str, query: dict[str, str], status: int, text: str) -> None:
    with pytest.raises(StackrError) as caught:
        await _ask(call, query)
    assert (caught.value.status, caught.value.message[: len(text)]) == (status, text)


async def test_there_are_no_plugins() -> None:
    assert await _ask("GET /plugins", {}) == b"[]\n"


async def _ask(call: str, query: dict[str, str]) -> bytes | None:
    method, _, path = call.partition(" ")
    found = Router(ROUTES).find(method, path)
    assert found is not None
    route, params = found
    values = {key: [value] for key, value in query.items()}
    request = Request(method, path, values, {}, cast(Connection, None), params=params)
    response = await route.handler(cast(Engine, None), request)
    assert response is not None
    assert response.status == 200
    return response.body
