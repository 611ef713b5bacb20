"""Checks `x-stackr`, and reads it into its models. Only imported for a stack that has it.

As any `x-*`, it is interpolated, merged and extended before it comes here, and printed as written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from stackr.patterns import compile_pattern
from stackr.spec import readers
from stackr.spec.decode import EXTENSION, Faults, Kind, Scalar, Struct
from stackr.spec.fields import BOOL_POINTER, seconds
from stackr.spec.model import extension as extension_model
from stackr.spec.paths import absolute
from stackr.spec.positions import Place
from stackr.spec.problems import nearest
from stackr.spec.rules import Path
from stackr.spec.source import BadSource, documents

if TYPE_CHECKING:
    from stackr.spec.load import Loaded
    from stackr.spec.model.extension import Level, ProjectExtension, ServiceExtension
    from stackr.spec.session import Session

__all__ = ["check", "project_extension", "read_policy", "service_extension"]

LEVELS = ("error", "warn", "ignore")
_MAX_PORT = 65535
_PROBES = ("tcp", "http", "log", "file")
_STATUS = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?", re.ASCII)
_URL = re.compile(r"https?://[^/\s]+(/\S*)?\Z", re.IGNORECASE)


def _port(value: Any) -> int:
    port = readers.read_int(value)
    if not 0 < port <= _MAX_PORT:
        raise ValueError(f"must be a port from 1 to {_MAX_PORT}, not {port}")
    return port


def _count(value: Any) -> int:
    count = readers.read_int(value)
    if count < 1:
        raise ValueError(f"must be 1 or more, not {count}")
    return count


def _url(value: Any) -> str:
    url = readers.read_string(value)
    if not _URL.match(url):
        raise ValueError(f'must be a URL as "http://localhost:8080/health", not "{url}"')
    return url


def _status(value: Any) -> tuple[tuple[int, int], ...]:
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


def _pattern(value: Any) -> str:
    pattern = readers.read_string(value)
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return pattern


def _container_path(value: Any) -> str:
    path = readers.read_string(value)
    if not path.startswith("/"):
        raise ValueError(f'must be an absolute path in the container, not "{path}"')
    return path


def _time(value: Any) -> int:
    nanoseconds = readers.read_duration(value)
    if nanoseconds <= 0:
        raise ValueError(f"must be longer than 0, not {value}")
    return nanoseconds


def _period(value: Any) -> int:
    nanoseconds = readers.read_duration(value)
    if nanoseconds < 0:
        raise ValueError(f"must not be negative, as {value} is")
    return nanoseconds


class _Probe(Struct):
    """A probe has one kind, and a status only for `http`."""

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        typed = super().decode(value, path, faults)
        if not isinstance(value, dict):
            return typed
        kinds = [kind for kind in _PROBES if value.get(kind) is not None]
        names = ", ".join(_PROBES)
        if not kinds:
            faults.add(path, f"needs one of {names}")
        elif len(kinds) > 1:
            hint = "files and services are merged: mark the probe with !override to replace it"
            faults.add(path, f"takes one of {names}, not {' and '.join(kinds)}", hint=hint)
        elif "status" in value and kinds != ["http"]:
            faults.add((*path, "status"), f"is for http, not for {kinds[0]}", at_key=True)
        return typed


class _Policy(Kind):
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


_TIME = Scalar(_time, hold=seconds, pointer=True)
PROBE = _Probe(
    extension_model.Probe,
    closed=True,
    tcp=Scalar(_port),
    http=Scalar(_url),
    status=Scalar(_status),
    log=Scalar(_pattern),
    file=Scalar(_container_path),
    interval=_TIME,
    timeout=_TIME,
    retries=Scalar(_count),
    start_period=Scalar(_period, hold=seconds, pointer=True),
    start_interval=_TIME,
)
SERVICE = Struct(
    extension_model.ServiceExtension,
    closed=True,
    probe=PROBE,
    ready_timeout=_TIME,
    stateful=BOOL_POINTER,
)
_POLICY = _Policy()
PROJECT = Struct(extension_model.ProjectExtension, closed=True, policy=_POLICY)


def check(tree: dict[str, Any], faults: Faults) -> None:
    """Note what is wrong with the extension in a project's tree."""
    if tree.get(EXTENSION) is not None:
        PROJECT.decode(tree[EXTENSION], (EXTENSION,), faults)
    for name, service in (tree.get("services") or {}).items():
        value = service.get(EXTENSION)
        if value is not None:
            path: Path = ("services", name, EXTENSION)
            typed = SERVICE.decode(value, path, faults)
            test = (service.get("healthcheck") or {}).get("test")
            if typed and "probe" in typed and test is not None:
                message = f"stands beside services.{name}.healthcheck.test: only one of them can be"
                faults.add((*path, "probe"), message, at_key=True)


def service_extension(extensions: dict[str, Any]) -> ServiceExtension:
    """The extension in a service's `x-*` keys, which have been checked."""
    return cast("ServiceExtension", _model(SERVICE, extensions))


def project_extension(
    extensions: dict[str, Any], policy: dict[str, Level] | None
) -> ProjectExtension:
    """The extension in a project's `x-*` keys; `policy` is of the file that it names, if any."""
    own = {} if policy is None else {"policy": policy}
    return cast("ProjectExtension", _model(PROJECT, extensions, own))


def _model(
    struct: Struct, extensions: dict[str, Any], own: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    faults = Faults()
    typed = struct.decode(extensions.get(EXTENSION) or {}, (EXTENSION,), faults)
    if faults.found:
        raise ValueError(f"{EXTENSION}: {faults.found[0].message}")
    return struct.model_of(typed, own)


def read_policy(extension: Any, loaded: Loaded) -> dict[str, Level]:
    """What each risk means, by its ID, from the extension or the file that it names.

    Raises InvalidProject for a file that is no such map.
    """
    policy = extension.get("policy") or {}
    if isinstance(policy, str):
        session = loaded.session
        file = absolute(policy, session.base(loaded.found.working_dir))
        policy = _policy_file(file, session)
    return cast("dict[str, Level]", policy)


def _policy_file(file: str, session: Session) -> dict[str, Any]:
    data = session.read_bytes(file)
    session.sources.add(file, data, searched=False)
    faults = Faults()
    policy: Any = None
    try:
        policy = next((document.value for document in documents(data)), None)
    except BadSource as error:
        place = Place(file, error.line + 1, error.column + 1)
        session.problems.add(error.path, error.message, place=place)
    if isinstance(policy, dict):
        _POLICY.decode(policy, (), faults)
    elif policy is not None:
        faults.add((), f"must be a mapping from risks to {', '.join(LEVELS)}")
    session.problems.take(
        fault._replace(place=session.sources.find_in(file, fault.path)) for fault in faults.found
    )
    session.problems.check()
    return policy or {}
