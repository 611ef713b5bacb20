"""A service, network or volume as the JSON that its container's label keeps, and its hash.

The JSON is sparse (no defaults) and sorted; lists whose order means nothing are sorted too, so
that equal meaning gives equal text. What does not go into a container is left out, and so never
recreates one.
Source: Docker Compose, pkg/compose/hash.go (`ServiceHash`), whose list of left-out fields this
extends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from stackr.spec.attribute import UNORDERED, Effect, OnChange, Order
from stackr.spec.declared import of_service
from stackr.spec.model.base import Model, given
from stackr.spec.model.service import Service

__all__ = ["canonical_json", "digest", "service_spec", "sparse"]

_RECORDED = (Effect.RECREATE, Effect.IN_PLACE)
_EFFECTS = {at: mark.effect for at, mark in of_service(OnChange).items()}
_UNORDERED = frozenset(at for at, mark in of_service(Order).items() if mark is UNORDERED)


def sparse(value: Any) -> Any:
    """A model as JSON values, without the fields that hold their default."""
    kind = type(value)
    if issubclass(kind, Model):
        return {name: sparse(field) for name, field in given(value)}
    if issubclass(kind, Mapping):
        return {key: sparse(item) for key, item in value.items()}
    if issubclass(kind, (tuple, list)):
        return [sparse(item) for item in value]
    return value


def service_spec(service: Service) -> dict[str, Any]:
    """What of a service its containers are made of."""
    spec: dict[str, Any] = {}
    for name, value in given(service):
        left_out = _LEFT_OUT.get(name, _NOTHING)
        if left_out is None:
            continue
        plain = sparse(value)
        if left_out:
            plain = _without(plain, left_out)
            if not plain:
                continue
        spec[name] = sorted(plain, key=canonical_json) if name in _UNORDERED else plain
    return spec


_Names: TypeAlias = dict[str, Any]
"""Names of a map, or `*` of a list: what to leave out below each (None: all), again as names."""

_NOTHING: _Names = {}


def _as_tree(patterns: Iterable[str]) -> _Names:
    tree: _Names = {}
    for pattern in patterns:
        *above, last = pattern.split(".")
        below: _Names | None = tree
        for name in above:
            below = below.setdefault(name, {}) if below is not None else None
        if below is not None:
            below[last] = None
    return tree


_LEFT_OUT = _as_tree(["name", *(at for at, each in _EFFECTS.items() if each not in _RECORDED)])
"""The attributes that are not in a container, whose name is in a label of its own."""


def _without(value: Any, names: _Names) -> Any:
    """Without these names, and without a map that has nothing else.

    A `restart_policy` stays: even an empty one undoes what `restart` says.
    """
    if isinstance(value, list):
        return [_without(item, names["*"]) for item in value]
    kept = {}
    for name, entry in value.items():
        below = names.get(name, _NOTHING)
        if below is None:
            continue
        if below:
            entry = _without(entry, below)
            if not entry and name != "restart_policy":
                continue
        kept[name] = entry
    return kept


def canonical_json(value: Any) -> str:
    """Compact, with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """64 hex digits, as Docker Compose's config hashes have."""
    return hashlib.sha256(text.encode()).hexdigest()
