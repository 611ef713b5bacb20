"""What a health check's `Test` asks for, as a value; pure.

    ["NONE"]                                    no check
    ["CMD", WORD...], ["CMD-SHELL", TEXT]       a command in the container, as with Docker
    ["TCP", "5432"]                             something accepts connections at the port
    ["HTTP", "http://:8080/health", "200-399"]  the answer has one of these statuses
    ["LOG", "ready to accept"]                  a line of output since the start matches (RE2)
    ["FILE", "/run/ready"]                      the path is there, whatever it is

The last four are stackr's own: they run in the engine and need no program in the container. A URL
without a host (or with `localhost`) means the container itself, by any of its addresses.
"""

from __future__ import annotations

import ipaddress
import posixpath
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from stackr.errors import InvalidArgument
from stackr.patterns import compile_pattern
from stackr.runtime.engine.container.settings.spec import Config

__all__ = [
    "CommandTest",
    "FileTest",
    "HttpTest",
    "LogTest",
    "ProbeResult",
    "TcpTest",
    "Test",
    "compiled",
    "parse_test",
    "unknown_test",
]

_KINDS = ("CMD", "CMD-SHELL", "TCP", "HTTP", "LOG", "FILE")
_DEFAULT_STATUSES = "200-399"
_MOST_PATTERN = 1000
_MOST_PATH = 4096
_MOST_URL = 2000


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """timed_out: the probe was given up; exit_code is then -1."""

    exit_code: int
    output: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class CommandTest:
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TcpTest:
    port: int


@dataclass(frozen=True, slots=True)
class HttpTest:
    """address: "" for the container itself. target: path and query. statuses: (first, last)."""

    secure: bool
    address: str
    port: int
    host: str
    target: str
    statuses: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class LogTest:
    pattern: str


@dataclass(frozen=True, slots=True)
class FileTest:
    path: str


Test = CommandTest | TcpTest | HttpTest | LogTest | FileTest


def parse_test(config: Config) -> Test | None:
    """The test of a container's health check; None where it has none.

    Raises InvalidArgument, with the test's kind, for what is malformed.
    """
    test = config.healthcheck.test if config.healthcheck else []
    match test:
        case [] | ["NONE", *_]:
            return None
        case ["CMD", *command] if command:
            return CommandTest(tuple(command))
        case ["CMD-SHELL", *words] if words:
            return CommandTest((*(config.shell or ("/bin/sh", "-c")), " ".join(words)))
        case ["TCP", port]:
            return TcpTest(_port(port, "TCP"))
        case ["HTTP", url]:
            return _http(url, _DEFAULT_STATUSES)
        case ["HTTP", url, statuses]:
            return _http(url, statuses)
        case ["LOG", pattern]:
            return LogTest(_pattern(pattern))
        case ["FILE", path]:
            return FileTest(_path(path))
        case [kind, *_] if kind in _KINDS:
            raise InvalidArgument(f"Healthcheck: {kind}: wrong number of arguments: {test[1:]}")
        case _:
            return None  # as dockerd, which says so in its log alone


def unknown_test(config: Config) -> str:
    """What to tell of a test of no known kind, "" for any other: images may have such."""
    test = config.healthcheck.test if config.healthcheck else []
    if test[:1] in ([], ["NONE"]) or test[0] in _KINDS:
        return ""
    return (
        f"Unknown healthcheck type '{test[0]}' (expected 'CMD', 'CMD-SHELL' or 'NONE', or"
        " stackr's 'TCP', 'HTTP', 'LOG' or 'FILE'): there is no health check"
    )


def _port(text: str, kind: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535:
        return int(text)
    raise InvalidArgument(f'Healthcheck: {kind}: port "{text[:50]}": must be from 1 to 65535')


def _http(url: str, statuses: str) -> HttpTest:
    parts = _split(url)
    secure = parts.scheme == "https"
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise InvalidArgument(f'Healthcheck: HTTP: "{url}": port must be from 1 to 65535')
    port = port or (443 if secure else 80)
    name = parts.hostname or "localhost"
    shown = f"[{name}]" if ":" in name else name
    return HttpTest(
        secure=secure,
        address=_address(name, url),
        port=port,
        host=shown if port == (443 if secure else 80) else f"{shown}:{port}",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        statuses=_statuses(statuses),
    )


def _split(url: str) -> SplitResult:
    """A URL of printable ASCII, so that it holds no second header."""
    plain = len(url) <= _MOST_URL and url.isascii() and url.isprintable() and " " not in url
    try:
        parts = urlsplit(url) if plain else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise InvalidArgument(
            f'Healthcheck: HTTP: "{url[:100]}": must read http://[ADDRESS]:PORT/PATH (or https)'
        )
    return parts


def _address(name: str, url: str) -> str:
    if name == "localhost":
        return ""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        raise InvalidArgument(
            f'Healthcheck: HTTP: "{url}": the host must be empty (the container itself) or an IP'
            " address"
        ) from None


def _statuses(text: str) -> tuple[tuple[int, int], ...]:
    """ "200-399", "204", or several with commas."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        numeric = all(len(n) == 3 and n.isascii() and n.isdecimal() for n in (first, last))
        if not numeric or not 100 <= int(first) <= int(last) <= 599:
            raise InvalidArgument(
                f'Healthcheck: HTTP: statuses "{text[:50]}": must read like 200-399 or 200,204'
            )
        ranges.append((int(first), int(last)))
    return tuple(ranges)


def _pattern(text: str) -> str:
    if not text or len(text) > _MOST_PATTERN:
        raise InvalidArgument(
            f"Healthcheck: LOG: the regular expression must have 1 to {_MOST_PATTERN} characters"
        )
    compiled(text)
    return text


def compiled(pattern: str) -> Any:
    """The expression of a LOG probe. Raises InvalidArgument where RE2 does not know the syntax."""
    try:
        return compile_pattern(pattern)
    except ValueError as error:
        raise InvalidArgument(
            f'Healthcheck: LOG: "{pattern[:100]}": not a regular expression: {error}'
        ) from error


def _path(text: str) -> str:
    if not text.startswith("/") or "\0" in text or len(text) > _MOST_PATH:
        raise InvalidArgument(f'Healthcheck: FILE: "{text[:100]}": must be an absolute path')
    return posixpath.normpath(text)
