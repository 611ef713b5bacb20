"""Checks a tree against the Compose Specification's JSON Schema, reporting every problem.

The schema's rules are compiled to closures, each when it is first needed. Only the keywords that
the schema uses are known: type, enum, pattern, minimum, maximum, properties, patternProperties,
additionalProperties, required, items, uniqueItems, oneOf and $ref.
Source: compose-spec/compose-spec, schema/compose-spec.json (in this folder, the file of
compose-go e70e961, July 2026, Apache-2.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Any, NamedTuple, TypeAlias

from stackr.spec import attribute
from stackr.spec.declared import marked
from stackr.spec.rules import Path
from stackr.spec.scalars import Timestamp


class Violation(NamedTuple):
    """A value that the schema does not allow."""

    path: Path
    message: str
    at_key: bool = False
    name: str | None = None
    known: tuple[str, ...] = ()


Check: TypeAlias = Callable[[Any, Path, list[Violation]], None]
_Schema: TypeAlias = dict[str, Any]
_SHOWN = {"object": "mapping", "array": "list"}


def violations(tree: dict[str, Any]) -> list[Violation]:
    """Everything in a stack file's tree that the specification does not allow."""
    found: list[Violation] = []
    _compiled("")(tree, (), found)
    return found


@cache
def schema() -> _Schema:
    """The Compose Specification's schema, with the attributes that it does not have yet."""
    text = FilePath(__file__).with_name("compose-spec.json").read_text(encoding="utf-8")
    loaded: _Schema = json.loads(text)
    return completed(loaded, marked(attribute.Schema))


def completed(specification: _Schema, newer: Mapping[str, attribute.Schema]) -> _Schema:
    """A schema with attributes of services and the like added, in place.

    newer: pattern, as in "services.*.name" -> how it is written.
    """
    for pattern, mark in newer.items():
        section, _, name = pattern.split(".")
        definition = specification["$defs"][section.removesuffix("s")]
        definition["properties"].setdefault(name, mark.rule)
    return specification


@cache
def _compiled(reference: str) -> Check:
    target = schema()
    for part in reference.removeprefix("#").strip("/").split("/"):
        target = target[part] if part else target
    return _compile(target)


def _compile(rule: _Schema) -> Check:
    checks = [compiler(rule) for keyword, compiler in _KEYWORDS.items() if keyword in rule]
    if "properties" in rule or "patternProperties" in rule:
        checks.append(_members(rule))
    if len(checks) == 1:
        return checks[0]
    if checks and "type" in rule:
        return _typed(checks[0], checks[1:])

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        for each in checks:
            each(value, path, found)

    return check


def _typed(is_type: Check, rest: list[Check]) -> Check:
    """The other keywords only make sense for a value of the right type."""

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        before = len(found)
        is_type(value, path, found)
        if len(found) == before:
            for each in rest:
                each(value, path, found)

    return check


def _lazily(rule: _Schema) -> Check:
    compiled: Check | None = None

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        nonlocal compiled
        if compiled is None:
            compiled = _compile(rule)
        compiled(value, path, found)

    return check


def _reference(rule: _Schema) -> Check:
    name = rule["$ref"]

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        _compiled(name)(value, path, found)

    return check


_NAMES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    Timestamp: "timestamp",
}


def _type(rule: _Schema) -> Check:
    wanted: list[str] = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    exact = {kind for kind, name in _NAMES.items() if name in wanted}
    if "number" in wanted:
        exact |= {int, float}
    whole_numbers = "integer" in wanted and "number" not in wanted
    message = f"must be {_one_of([_SHOWN.get(name, name) for name in wanted])}"

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        kind = type(value)
        if kind in exact or (whole_numbers and kind is float and value.is_integer()):
            return
        found.append(Violation(path, f"{message}, {_described(value)}"))

    return check


def _described(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "not empty"
    if kind is Timestamp:
        return f"not the date {value} (quote it to make it a string)"
    if kind in (dict, list):
        return f"not a {_SHOWN[_NAMES[kind]]}"
    text = json.dumps(value, ensure_ascii=False, allow_nan=True)
    return f"not {text if len(text) <= 60 else text[:57] + '...'}"


def _one_of(names: list[str]) -> str:
    articles = [
        name if name == "null" else f"a{'n' if name[0] in 'aeiou' else ''} {name}" for name in names
    ]
    if len(articles) == 1:
        return articles[0]
    return f"{', '.join(articles[:-1])} or {articles[-1]}"


def _enum(rule: _Schema) -> Check:
    allowed = rule["enum"]
    message = f"must be one of {', '.join(allowed)}"

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if value not in allowed:
            violation = Violation(path, message, name=str(value), known=tuple(allowed))
            found.append(violation)

    return check


def _pattern(rule: _Schema) -> Check:
    pattern = re.compile(rule["pattern"])

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if isinstance(value, str) and not pattern.search(value):
            found.append(Violation(path, f'"{value}" does not match {rule["pattern"]}'))

    return check


def _bounds(rule: _Schema) -> Check:
    low, high = rule.get("minimum"), rule.get("maximum")

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if type(value) not in (int, float):
            return
        if low is not None and value < low:
            found.append(Violation(path, f"must be greater than or equal to {low}"))
        if high is not None and value > high:
            found.append(Violation(path, f"must be less than or equal to {high}"))

    return check


def _required(rule: _Schema) -> Check:
    names = rule["required"]

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if isinstance(value, dict):
            for name in names:
                if name not in value:
                    found.append(Violation(path, f'"{name}" is missing'))

    return check


def _items(rule: _Schema) -> Check:
    item = _lazily(rule["items"])

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if isinstance(value, list):
            for index, entry in enumerate(value):
                item(entry, (*path, index), found)

    return check


def _unique(rule: _Schema) -> Check:
    if not rule["uniqueItems"]:
        return lambda value, path, found: None

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if not isinstance(value, list) or len(value) < 2:
            return
        seen: dict[Any, int] = {}
        for index, entry in enumerate(value):
            first = seen.setdefault(_identity(entry), index)
            if first != index:
                message = f"is the same as item {first}: items have to be unique"
                found.append(Violation((*path, index), message))

    return check


def _identity(value: Any) -> Any:
    """A hashable that is equal for values that JSON Schema holds to be equal."""
    if isinstance(value, dict):
        return frozenset((key, _identity(entry)) for key, entry in value.items())
    if isinstance(value, list):
        return tuple(_identity(entry) for entry in value)
    return (type(value), value) if isinstance(value, bool | str) else value


def _literal_keys(pattern: str) -> Callable[[str], bool]:
    if pattern == "^x-":
        return lambda key: key.startswith("x-")
    if pattern == ".+":
        return lambda key: key.strip("\n") != ""
    if pattern == "^.+$":
        return lambda key: key != "" and "\n" not in key
    compiled = re.compile(pattern.replace("$", r"\Z"))
    return lambda key: compiled.search(key) is not None


def _members(rule: _Schema) -> Check:
    known = {name: _lazily(below) for name, below in rule.get("properties", {}).items()}
    patterns = [
        (_literal_keys(pattern), _lazily(below) if below else None)
        for pattern, below in rule.get("patternProperties", {}).items()
    ]
    closed = rule.get("additionalProperties") is False
    names = tuple(known)
    what = "unknown key" if "properties" in rule else "not a valid name"

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        if not isinstance(value, dict):
            return
        for key, entry in value.items():
            below = known.get(key)
            matched = below is not None
            if below is not None:
                below(entry, (*path, key), found)
            for matches, by_pattern in patterns:
                if matches(key):
                    matched = True
                    if by_pattern is not None:
                        by_pattern(entry, (*path, key), found)
            if closed and not matched:
                found.append(Violation((*path, key), f'{what} "{key}"', True, key, names))

    return check


def _alternatives(rule: _Schema) -> Check:
    branches = [_lazily(branch) for branch in rule["oneOf"]]

    def check(value: Any, path: Path, found: list[Violation]) -> None:
        failures: list[list[Violation]] = []
        for branch in branches:
            attempt: list[Violation] = []
            branch(value, path, attempt)
            if not attempt:
                return
            failures.append(attempt)
        found.extend(_closest(failures, path))

    return check


def _closest(failures: list[list[Violation]], path: Path) -> Iterable[Violation]:
    """The problems of the branch that the value was meant for: the one that fits furthest in."""
    deepest = max(failures, key=lambda attempt: max(len(each.path) for each in attempt))
    if max(len(each.path) for each in deepest) > len(path):
        return deepest
    wanted = [each.message for attempt in failures for each in attempt]
    kinds = [text.removeprefix("must be ").split(", not ")[0] for text in wanted]
    if all(text.startswith("must be ") and ", not " in text for text in wanted):
        reason = wanted[0].rsplit(", not ", 1)[1]
        names = ", ".join(kinds[:-1]) + f" or {kinds[-1]}" if len(kinds) > 1 else kinds[0]
        return [Violation(path, f"must be {names}, not {reason}")]
    return next((attempt for attempt in failures if ", not " not in attempt[0].message), deepest)


_KEYWORDS: dict[str, Callable[[_Schema], Check]] = {
    "type": _type,
    "$ref": _reference,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _bounds,
    "required": _required,
    "items": _items,
    "uniqueItems": _unique,
    "oneOf": _alternatives,
}
