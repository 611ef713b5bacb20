"""Typed reads from a request's JSON object, with one-line errors.

A null is an absent key, and keys may be in any case, as Go's decoder has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.io.detach import parse_keys
from stackr.runtime.engine.container.settings.keys import matched

__all__ = ["boolean", "console_size", "detach_keys", "object_at", "objects", "string", "string_map"]


def _get(body: Mapping[str, Any], key: str) -> Any:
    return matched(body, (key,)).get(key)


def string(body: Mapping[str, Any], key: str, default: str = "") -> str:
    value = _get(body, key)
    if value is None:
        return default
    return str(_checked(value, str, key, "a string"))


def boolean(body: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = _get(body, key)
    if value is None:
        return default
    return bool(_checked(value, bool, key, "a boolean"))


def object_at(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object; {} where it is absent."""
    value = _get(body, key)
    return {} if value is None else _checked(value, dict, key, "an object")


def objects(body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects; [] where it is absent."""
    value = _get(body, key)
    items = [] if value is None else _checked(value, list, key, "a list")
    return [_checked(item, dict, key, "a list of objects") for item in items]


def string_map(body: Mapping[str, Any], key: str) -> dict[str, str]:
    """An object of strings; {} where it is absent."""
    return {
        name: _checked(value, str, f"{key}.{name}", "a string")
        for name, value in object_at(body, key).items()
    }


def console_size(body: Mapping[str, Any], key: str) -> tuple[int, int] | None:
    """[height, width] of a terminal; None where it is absent or zero."""
    value = _get(body, key)
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)):
        raise InvalidArgument(f"invalid JSON: {key}: expected two numbers")
    return (value[0], value[1]) if value[0] > 0 and value[1] > 0 else None


def detach_keys(text: str, kind: str) -> bytes:
    """The bytes of `--detach-keys`. Raises InvalidArgument with Docker's text."""
    try:
        return parse_keys(text)
    except ValueError as error:
        raise InvalidArgument(f"Invalid {kind} keys ({text}) provided") from error


def _checked(value: Any, kind: type, key: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidArgument(f"invalid JSON: {key}: expected {wanted}")
    return value
