"""The table of routes: which handler answers which method and path.

A pattern is a path with `{name}` for one segment and `{name:path}` for several (image names).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response

__all__ = ["Handler", "Route", "Router", "check_query", "clean_path"]

Handler = Callable[[Engine, Request], Awaitable[Response | None]]
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


def _never(request: Request) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Route:
    """follows: the answer may last as long as the client listens, so the client's end cancels it.

    ends: whether this one ends by itself. A client that has closed its own side and listens on,
    as `nc` does, gets the whole of it; one without an end would outlive what asked for it, as
    `docker system dial-stdio` closes one side only.

    hijacks: the connection becomes a raw stream, or has a body that is read for long; the handler
    sees itself when the client ends.
    """

    method: str
    pattern: str
    handler: Handler
    follows: bool = False
    ends: Callable[[Request], bool] = _never
    hijacks: bool = False


def check_query(request: Request, *known: str) -> None:
    """Of stackr's own calls. Raises InvalidArgument for a parameter that is not known."""
    for name in request.query:
        if name not in known:
            raise InvalidArgument(f"unknown parameter: {name}")


def clean_path(path: str) -> str:
    """Without empty, `.` and `..` segments; a slash at the end stays. What is no path stays whole.

    Source: gorilla/mux `cleanPath`, by which dockerd redirects.
    """
    if not path.startswith("/"):
        return path
    cleaned = "/" + posixpath.normpath(path).lstrip("/")
    return f"{cleaned}/" if path.endswith("/") and cleaned != "/" else cleaned


class Router:
    """Finds routes by the path's first segment, then in the order of the table."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[tuple[str, str], list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            key = (route.method, _first_segment(route.pattern))
            self._routes.setdefault(key, []).append((_compile(route.pattern), route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        for pattern, route in self._routes.get((method, _first_segment(path)), ()):
            match = pattern.fullmatch(path)
            if match:
                return route, match.groupdict()
        return None


def _first_segment(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


def _compile(pattern: str) -> re.Pattern[str]:
    def group(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"

    parts = re.split(r"(\{[^}]*\})", pattern)
    return re.compile(
        "".join(_PARAMETER.sub(group, p) if p[:1] == "{" else re.escape(p) for p in parts)
    )
