"""How the values of `x-stackr` are read: of a probe, and of a policy."""

from __future__ import annotations

import re
from typing import Any

from stackr.patterns import compile_pattern
from stackr.spec import readers
from stackr.spec.decode import Faults, Kind, Struct
from stackr.spec.problems import nearest
from stackr.spec.rules import Path

LEVELS = ("error", "warn", "ignore")
_MAX_PORT = 65535
PROBE_KINDS = ("tcp", "http", "log", "file")
_STATUS = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?", re.ASCII)
_URL = re.compile(r"https?://[^/\s]+(/\S*)?\Z", re.IGNORECASE)


def read_port(value: Any) -> int:
    port = readers.read_int(value)
    if not 0 < port <= _MAX_PORT:
        raise ValueError(f"must be a port from 1 to {_MAX_PORT}, not {port}")
    return port


def read_count(value: Any) -> int:
    count = readers.read_int(value)
    if count < 1:
        raise ValueError(f"must be 1 or more, not {count}")
    return count


def read_attempts(value: Any) -> int:
    attempts = readers.read_int(value)
    if attempts < 0:
        raise ValueError(f"must be 0 (no limit) or more, not {attempts}")
    return attempts


def read_url(value: Any) -> str:
    url = readers.read_string(value)
    if not _URL.match(url):
        raise ValueError(f'must be a URL as "http://localhost:8080/health", not "{url}"')
    return url


def read_status(value: Any) -> tuple[tuple[int, int], ...]:
    """Codes and ranges of them, as in "200-399" or "200,204"."""
    text = readers.read_string(value)
    ranges = []
    for part in text.split(","):
        match = _STATUS.fullmatch(part.strip())
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if low > high:
            raise ValueError(f'must be codes or ranges as "200-399" or "200,204", not "{text}"')
        ranges.append((low, high))
    return tuple(ranges)


def read_pattern(value: Any) -> str:
    pattern = readers.read_string(value)
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return pattern


def read_container_path(value: Any) -> str:
    path = readers.read_string(value)
    if not path.startswith("/"):
        raise ValueError(f'must be an absolute path in the container, not "{path}"')
    return path


def read_time(value: Any) -> int:
    nanoseconds = readers.read_duration(value)
    if nanoseconds <= 0:
        raise ValueError(f"must be longer than 0, not {value}")
    return nanoseconds


def read_period(value: Any) -> int:
    nanoseconds = readers.read_duration(value)
    if nanoseconds < 0:
        raise ValueError(f"must not be negative, as {value} is")
    return nanoseconds


class ProbeStruct(Struct):
    """A probe has one kind, and a status only for `http`."""

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        typed = super().decode(value, path, faults)
        if not isinstance(value, dict):
            return typed
        kinds = [kind for kind in PROBE_KINDS if value.get(kind) is not None]
        names = ", ".join(PROBE_KINDS)
        if not kinds:
            faults.add(path, f"needs one of {names}")
        elif len(kinds) > 1:
            hint = "files and services are merged: mark the probe with !override to replace it"
            faults.add(path, f"takes one of {names}, not {' and '.join(kinds)}", hint=hint)
        elif "status" in value and kinds != ["http"]:
            faults.add((*path, "status"), f"is for http, not for {kinds[0]}", at_key=True)
        return typed


class RestartUnhealthyStruct(Struct):
    """Its settings, or only that it is wanted, or not."""

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if isinstance(value, dict):
            return super().decode(value, path, faults)
        try:
            return {} if readers.read_bool(value) else None
        except ValueError:
            faults.add(path, str(readers.expected("true, false or a mapping", value)))
            return None


class Policy(Kind):
    """What each risk means, or the path of a file that says so."""

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if isinstance(value, dict):
            for risk, level in value.items():
                _check_level(level, (*path, risk), faults)
        elif type(value) is not str or not value:
            faults.add(path, "must be a mapping of risks, or the path of a file with one")
        return value


def _check_level(level: Any, path: Path, faults: Faults) -> None:
    if level not in LEVELS:
        hint = nearest(level, LEVELS) if isinstance(level, str) else None
        faults.add(path, f"must be one of {', '.join(LEVELS)}", hint=hint)


POLICY = Policy()
