"""Values that the specification fills in; attributes name a rule with `Default`.

Source: compose-go, transform/defaults.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from stackr.spec.rules import Branch, Path

SECRET_VALUE = "x-#value"
"""Where a secret's value from the environment is kept in a tree; it is never written out."""

_NO_SOURCE = "%!s(<nil>)"
"""As Docker Compose has it, and so in the hash of a service; no such service can be run."""

Rule: TypeAlias = Callable[[Any, Branch[Any], Path, None], Any]


def values(**values: Any) -> Rule:
    def rule(value: Any, branch: Branch[Any], path: Path, context: None) -> Any:
        return {**values, **value} if isinstance(value, dict) else value

    return rule


def secret_target(value: Any, branch: Branch[Any], path: Path, context: None) -> Any:
    if isinstance(value, dict):
        source = value.get("source")
        value.setdefault("target", f"/run/secrets/{_NO_SOURCE if source is None else source}")
    return value


def all_devices(value: Any, branch: Branch[Any], path: Path, context: None) -> Any:
    if isinstance(value, dict) and "count" not in value and "device_ids" not in value:
        value["count"] = "all"
    return value
