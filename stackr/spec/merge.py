"""How a file overrides the ones before it, and a service the one that it extends.

Maps merge, lists append, the rest is replaced; the rules here are the exceptions, which attributes
name with `Merge`.
Source: compose-go, override/merge.go; Compose Specification, 13-merge.md.
"""

from __future__ import annotations

from typing import Any

from stackr.spec.attribute import MergeRule
from stackr.spec.rules import Branch, Path, show
from stackr.spec.units import go_text


class CannotMerge(Exception):
    """Two values of kinds that do not go together; `path` is of the later one."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot override {show(path)}")
        self.path = path


def merged(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    """The two as one, by the rules at and below `path`; `old` is used up. Raises CannotMerge."""
    if rules is not None and rules.rule is not None:
        return rules.rule(old, new, rules, path)
    if new is None:
        return old
    if isinstance(old, dict):
        if not isinstance(new, dict):
            raise CannotMerge(path)
        return _merge_maps(old, new, rules, path)
    if isinstance(old, list):
        if not isinstance(new, list):
            raise CannotMerge(path)
        return old + new
    return new


def _merge_maps(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        raise CannotMerge(path)
    for key, value in new.items():
        if key in old:
            below = rules.below(key) if rules is not None else None
            old[key] = merged(old[key], value, below, (*path, key))
        else:
            old[key] = value
    return old


def replace(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    return new


def is_replaced(rules: Branch[MergeRule]) -> bool:
    """Whether a value is replaced by a later one as a whole."""
    return rules.rule is replace


def sequence(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    return as_sequence(old) + as_sequence(new)


def as_sequence(value: Any) -> list[Any]:
    """A map of options as sorted `key=value` entries; a string as a list of one."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [value]
    entries: list[str] = []
    for key, entry in value.items() if isinstance(value, dict) else ():
        if entry is None:
            entries.append(key)
        elif isinstance(entry, list):
            entries += [f"{key}={go_text(each)}" for each in entry]
        else:
            entries.append(f"{key}={go_text(entry)}")
    return sorted(entries, key=str.encode)


def hosts(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    before = as_sequence(old)
    return before + [entry for entry in as_sequence(new) if entry not in before]


def keyed(default: dict[str, Any] | None) -> MergeRule:
    """Merge as maps what may also be written as a list of names, each standing for `default`."""

    def as_map(value: Any, path: Path) -> dict[str, Any]:
        if isinstance(value, list):
            if not all(isinstance(name, str) for name in value):
                raise CannotMerge(path)
            return {name: dict(default) if default is not None else None for name in value}
        return value if isinstance(value, dict) else {}

    def rule(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
        return _merge_maps(as_map(old, path), as_map(new, path), rules, path)

    return rule


def wrapped(key: str) -> MergeRule:
    """Merge as maps what may also be a string, which stands for a map with this key alone."""

    def as_map(value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            return {key: value}
        return value if isinstance(value, dict) else {}

    def rule(old: Any, new: Any, rules: Branch[Any] | None, path: Path) -> Any:
        return _merge_maps(as_map(old), as_map(new), rules, path)

    return rule


def logging(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    """Options of two different drivers do not mix."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        raise CannotMerge(path)
    if "driver" in old and "driver" in new and old["driver"] != new["driver"]:
        return new
    return _merge_maps(old, new, rules, path)


def pools(old: Any, new: Any, rules: Branch[MergeRule] | None, path: Path) -> Any:
    """Address pools are merged by subnet."""
    if not (_are_maps(old) and _are_maps(new)):
        raise CannotMerge(path)
    pools: list[dict[str, Any]] = []
    for before in old:
        for after in new:
            if after.get("subnet") != before.get("subnet") and not any(
                pool.get("subnet") == after.get("subnet") for pool in pools
            ):
                pools.append(after)
                continue
            merged = _merge_maps(before, after, rules, path)
            for index, pool in enumerate(pools):
                if pool.get("subnet") == merged.get("subnet"):
                    pools[index] = merged
                    break
            else:
                pools.append(merged)
    return pools


def _are_maps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
