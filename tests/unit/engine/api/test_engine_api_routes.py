"""The whole table of routes: what the API defines is answered or refused by name."""

from __future__ import annotations

from typing import cast

import pytest

from stackr.errors import NotSupported
from stackr.runtime.engine.api import absent
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request
from stackr.runtime.engine.api.route import Route, Router, clean_path
from stackr.runtime.engine.api.routes import ROUTES


def _found(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    found = Router(ROUTES).find(method, path)
    return (found[0].pattern, found[1]) if found else None


@pytest.mark.parametrize(
    ("method", "path", "pattern", "parameters"),
    [
        ("GET", "/containers/json", "/containers/json", {}),
        ("GET", "/containers/web/json", "/containers/{id}/json", {"id": "web"}),
        ("DELETE", "/containers/web", "/containers/{id}", {"id": "web"}),
        ("DELETE", "/containers/web/db", "/containers/{id}/{alias}", {"id": "web", "alias": "db"}),
        ("GET", "/images/json", "/images/json", {}),
        ("GET", "/images/h:5/a/b:1/json", "/images/{name:path}/json", {"name": "h:5/a/b:1"}),
        ("DELETE", "/images/a/b@sha256:0", "/images/{name:path}", {"name": "a/b@sha256:0"}),
        ("POST", "/images/h:5/a/push", "/images/{name:path}/push", {"name": "h:5/a"}),
        ("GET", "/images/get", "/images/get", {}),
        ("GET", "/distribution/h/a:1/json", "/distribution/{name:path}/json", {"name": "h/a:1"}),
        ("POST", "/networks/create", "/networks/create", {}),
        ("GET", "/networks/", "/networks/", {}),
        ("GET", "/networks/n-1", "/networks/{id}", {"id": "n-1"}),
        ("HEAD", "/_ping", "/_ping", {}),
        (
            "POST",
            "/stackr/v1/containers/web/promote",
            "/stackr/v1/containers/{id}/promote",
            {"id": "web"},
        ),
    ],
)
def test_paths_find_their_routes(
    method: str, path: str, pattern: str, parameters: dict[str, str]
) -> None:
    assert _found(method, path) == (pattern, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/containers"),
        ("GET", "/containers/a/b/json"),
        ("DELETE", "/_ping"),
        ("GET", "no-slash"),
        ("GET", "/containers//json"),
    ],
)
def test_other_paths_find_none(method: str, path: str) -> None:
    assert _found(method, path) is None


@pytest.mark.parametrize(
    "route", absent.ROUTES, ids=lambda route: f"{route.method} {route.pattern}"
)
async def test_what_is_absent_is_refused_by_name(route: Route) -> None:
    with pytest.raises(NotSupported, match=r"^[a-z ()]+: not supported by the embedded engine$"):
        await route.handler(cast(Engine, None), cast(Request, None))


def test_no_route_is_there_twice() -> None:
    keys = [(route.method, route.pattern) for route in ROUTES]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("/images/json", "/images/json"),
        ("//images//json", "/images/json"),
        ("/v1.41//images/./json", "/v1.41/images/json"),
        ("/a/../../b/", "/b/"),
        ("/", "/"),
        ("///", "/"),
        ("no-slash", "no-slash"),
        ("", ""),
    ],
)
def test_a_careless_path_leads_to_the_clean_one(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned
