"""Two resolved specs compared by meaning: which attributes differ, each with its path.

Maps are compared key by key. A list whose items have a name of their own (a mount by its target)
is compared item by item under that name; other lists as a whole, or as sets where order means
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from stackr.planner.desired.config_hash import canonical_json
from stackr.planner.plan.model import FieldChange
from stackr.spec.attribute import ORDERED, Keyed, Named, Order
from stackr.spec.declared import attributes, marked
from stackr.spec.decode import EXTENSION, Scalar, Unit
from stackr.spec.mask import masked
from stackr.spec.rules import ANY, ITEM
from stackr.spec.units import format_duration, format_size

__all__ = ["field_changes"]


def _of_resource(pattern: str) -> str:
    """A pattern as it reads within its resource: `services.*.dns` is `dns`."""
    return pattern.split(".", 2)[-1]


_IDENTITIES = {_of_resource(at): mark.keys for at, mark in marked(Named).items()}
_ORDERED = {_of_resource(at) for at, mark in marked(Order).items() if mark is ORDERED}
_SPLIT = {EXTENSION, *(_of_resource(at) for at in marked(Keyed))}
"""Maps of keys of which each is named even when the whole map comes or goes."""
_UNITS = {
    _of_resource(attribute.pattern.replace(ITEM, ANY)): attribute.kind.unit
    for attribute in attributes()
    if isinstance(attribute.kind, Scalar) and attribute.kind.unit is not None
}
_NAME = re.compile(r"\[.+\]")
"""The name of a list's item in a path."""


def _port(item: Mapping[str, Any]) -> str:
    host = ":".join(filter(None, [item.get("host_ip"), item.get("published")]))
    mode = f", {item['mode']}" if item.get("mode", "ingress") != "ingress" else ""
    return f"{host}:{item.get('target')}/{item.get('protocol', 'tcp')}{mode}"


def field_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], *, forces_recreate: bool = True
) -> tuple[FieldChange, ...]:
    """Every attribute that differs, sorted by path; values are masked where they look secret."""
    changes = []
    for path, before, after in sorted(_walk("", old, new), key=lambda change: change[0]):
        shown_before, hid_before = masked(path, _with_unit(path, before))
        shown_after, hid_after = masked(path, _with_unit(path, after))
        changes.append(
            FieldChange(
                path=path,
                old=shown_before,
                new=shown_after,
                forces_recreate=forces_recreate,
                is_secret=hid_before or hid_after,
            )
        )
    return tuple(changes)


def _with_unit(path: str, value: Any) -> Any:
    """Seconds, bytes and file modes as a stack file has them: "1m30s", "512m", "0440"."""
    if isinstance(value, Mapping):
        return {key: _with_unit(f"{path}.{key}" if path else key, value[key]) for key in value}
    if isinstance(value, list):
        return [_with_unit(f"{path}.*", item) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return value
    match _UNITS.get(_NAME.sub(".*", path)):
        case Unit.FILE_MODE:
            return f"0{int(value):o}"
        case Unit.SECONDS:
            return format_duration(round(value * 1_000_000_000))
        case Unit.BYTES:
            return format_size(int(value))
        case None:
            return value


_Difference = tuple[str, Any, Any]


def _walk(path: str, old: Any, new: Any) -> Iterator[_Difference]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            below = f"{path}.{key}" if path else str(key)
            yield from _walk(below, _entry(below, old, key), _entry(below, new, key))
    elif _is_list(old) and _is_list(new):
        yield from _lists(path, old or [], new or [])
    elif isinstance(new, Mapping) and old is None and path in _SPLIT:
        yield from _walk(path, {}, new)
    elif isinstance(old, Mapping) and new is None and path in _SPLIT:
        yield from _walk(path, old, {})
    else:
        yield path, old, new


def _entry(path: str, values: Mapping[str, Any], key: str) -> Any:
    """A map's value, None where it has none; that something is there without a value is told."""
    if key in values and values[key] is None:
        return _UNSET if path.startswith("environment.") else {}
    return values.get(key)


_UNSET = "(unset)"
"""A variable that the image may set, and that is not to be set."""


def _is_list(value: Any) -> bool:
    return value is None or isinstance(value, list)


def _lists(path: str, old: list[Any], new: list[Any]) -> Iterator[_Difference]:
    if path in _IDENTITIES:
        yield from _named(path, old, new, _names(_IDENTITIES[path], old, new))
    elif path == "ports":
        yield from _as_sets(path, [*map(_port, old)], [*map(_port, new)])
    elif path in _ORDERED:
        yield path, old or None, new or None
    else:
        yield from _as_sets(path, old, new)


def _names(
    keys: tuple[str, ...], old: list[Any], new: list[Any]
) -> Callable[[Mapping[str, Any]], str]:
    """What to call an item: by its first key, or by all where that is not its own."""

    def short(item: Mapping[str, Any]) -> str:
        return str(next((item[key] for key in keys if item.get(key)), None))

    def whole(item: Mapping[str, Any]) -> str:
        return ":".join(str(item.get(key)) for key in keys)

    is_unique = all(len({*map(short, items)}) == len(items) for items in (old, new))
    return short if is_unique else whole


def _named(
    path: str, old: list[Any], new: list[Any], name: Callable[[Mapping[str, Any]], str]
) -> Iterator[_Difference]:
    before = {name(item): item for item in old}
    after = {name(item): item for item in new}
    for key in sorted({*before, *after}):
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            yield f"{path}[{key}]", one, other
        else:
            yield from _walk(f"{path}[{key}]", one, other)


def _as_sets(path: str, old: list[Any], new: list[Any]) -> Iterator[_Difference]:
    before = {canonical_json(item): item for item in old}
    after = {canonical_json(item): item for item in new}
    gone = [before[key] for key in sorted(before) if key not in after]
    come = [after[key] for key in sorted(after) if key not in before]
    if gone or come:
        yield path, gone or None, come or None
    else:
        yield path, old, new
