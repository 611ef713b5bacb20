"""Rules of one attribute's parts that no JSON Schema can state; attributes name one with `Check`.

Source: compose-go, validation/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from stackr.spec.problems import Problems, nearest
from stackr.spec.rules import Branch, Path
from stackr.spec.short import is_ip
from stackr.text import whole_number

Rule: TypeAlias = Callable[[Any, Branch[Any], Path, Problems], Any]


def external(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
    if not isinstance(value, dict) or "external" not in value:
        return value
    if type(value["external"]) is not bool:
        problems.add((*path, "external"), "must be true or false")
    elif value["external"]:
        for key in value:
            if key not in ("name", "external") and not key.startswith("x-"):
                message = f'conflicting parameters "external" and "{key}" specified'
                problems.add((*path, key), message, at_key=True)
    return value


def one_source(*keys: str) -> Rule:
    def rule(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
        if isinstance(value, dict):
            count = sum(key in value for key in keys)
            if count > 1:
                problems.add(path, f"{'|'.join(keys)} attributes are mutually exclusive")
            elif not count and "driver" not in value and "external" not in value:
                problems.add(path, f"one of {'|'.join(keys)} must be set")
        return value

    return rule


def host_ip(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
    if isinstance(value, dict) and isinstance(value.get("host_ip"), str):
        address = value["host_ip"]
        if not is_ip(address):
            problems.add((*path, "host_ip"), f"invalid ip address: {address}")
    return value


_RESTARTS = ("no", "always", "unless-stopped", "on-failure", "none", "any")


def restart(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
    """Engines refuse another policy, but only once they are to make the container."""
    if isinstance(value, str) and value and "$" not in value:
        name, colon, count = value.partition(":")
        is_count = name == "on-failure" and whole_number(count) is not None
        if name not in _RESTARTS or (colon and not is_count):
            hint = nearest(name, _RESTARTS[:4]) if name not in _RESTARTS else None
            message = f'"{value}" is none of no, always, unless-stopped, on-failure[:TIMES]'
            problems.add(path, message, hint=hint)
    return value


def not_blank(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
    if value == "":
        problems.add(path, "value can't be blank")
    return value


def not_null(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
    if value is None:
        problems.add(path, "must be a string, not empty")
    return value


def device(value: Any, branch: Branch[Any], path: Path, problems: Problems) -> Any:
    if isinstance(value, dict) and "count" in value and "device_ids" in value:
        problems.add(path, '"count" and "device_ids" attributes are exclusive')
    return value
