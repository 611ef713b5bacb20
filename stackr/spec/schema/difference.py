"""What another version of the Compose Specification's schema has that the one in use has not.

    python -m stackr.spec.schema.difference FILE

lists each attribute that came or went, and what becomes of it here. An attribute is known by its
pattern: "services.*.ports.*.target", where `*` is any name, or any entry of a list.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackr.spec.declared import attributes, nearest_mark
from stackr.spec.rules import ANY, ITEM
from stackr.spec.schema.validate import schema
from stackr.spec.support import SUPPORT

__all__ = ["attributes_of", "difference"]

_Schema = dict[str, Any]
_EXTENSIONS = "^x-"


def attributes_of(specification: _Schema) -> set[str]:
    """The patterns of all attributes of a schema; of what contains itself, the first level."""
    return set(_below(specification, specification, "", frozenset()))


def _below(
    specification: _Schema, rule: _Schema, above: str, seen: frozenset[str]
) -> Iterator[str]:
    if "$ref" in rule:
        if rule["$ref"] not in seen:
            below = _target(specification, rule["$ref"])
            yield from _below(specification, below, above, seen | {rule["$ref"]})
        return
    for choice in (*rule.get("oneOf", ()), *rule.get("anyOf", ())):
        yield from _below(specification, choice, above, seen)
    for name, below in rule.get("properties", {}).items():
        path = f"{above}.{name}" if above else name
        yield path
        yield from _below(specification, below, path, seen)
    for below in _entries(rule):
        yield from _below(specification, below, f"{above}.{ANY}", seen)


def _entries(rule: _Schema) -> Iterator[_Schema]:
    """The rules of what is in a list, or in a map of free names."""
    if isinstance(rule.get("items"), dict):
        yield rule["items"]
    for pattern, below in rule.get("patternProperties", {}).items():
        if pattern != _EXTENSIONS:
            yield below
    if isinstance(rule.get("additionalProperties"), dict):
        yield rule["additionalProperties"]


def _target(specification: _Schema, reference: str) -> _Schema:
    found: _Schema = specification
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def difference(other: _Schema) -> list[str]:
    """Lines that tell what `other` has beyond the schema in use, and what it has no more."""
    ours, theirs = attributes_of(schema()), attributes_of(other)
    came = [f"+ {path}: {_state(path)}" for path in sorted(theirs - ours)]
    return [*came, *(f"- {path}" for path in sorted(ours - theirs))]


def _state(path: str) -> str:
    declared = {each.pattern.replace(ITEM, ANY) for each in attributes()}
    mark = nearest_mark(SUPPORT, path) if path in declared else None
    if mark is None:
        return "no model has it"
    return f"{mark.state.value}: {mark.note}" if mark.note else mark.state.value


def _main(arguments: list[str]) -> str:
    if len(arguments) != 1:
        sys.exit("usage: python -m stackr.spec.schema.difference FILE")
    found = difference(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    return "".join(f"{line}\n" for line in found) or "no attribute came or went\n"


if __name__ == "__main__":
    sys.stdout.write(_main(sys.argv[1:]))
