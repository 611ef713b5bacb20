"""Each attribute of the specification's schema has one declaration, or is listed as having none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from stackr.spec.attribute import ModelOnly, Schema
from stackr.spec.declared import SECTIONS, WITHOUT_FIELD, attributes, marked, nearest_mark
from stackr.spec.decode import Kind, ListOf, MapOf, Struct
from stackr.spec.rules import ANY, ITEM
from stackr.spec.schema.difference import attributes_of, difference
from stackr.spec.schema.validate import completed, schema
from stackr.spec.support import SUPPORT

_Schema = dict[str, Any]


def _alternatives(rule: _Schema) -> Iterator[_Schema]:
    """The rule itself, and those that it refers to or chooses among."""
    yield rule
    if "$ref" in rule:
        yield from _alternatives(schema()["$defs"][rule["$ref"].rpartition("/")[2]])
    for choice in rule.get("oneOf", ()):
        yield from _alternatives(choice)


def _entries(rule: _Schema) -> Iterator[_Schema]:
    """The rules of what is in a list or a map of names."""
    for each in _alternatives(rule):
        if "items" in each:
            yield each["items"]
        for pattern, below in each.get("patternProperties", {}).items():
            if pattern != "^x-":
                yield below
        if isinstance(each.get("additionalProperties"), dict):
            yield each["additionalProperties"]


def _in_schema(rule: _Schema, kind: Kind, above: str) -> Iterator[str]:
    """The patterns of the attributes that the schema has at and below a place."""
    if isinstance(kind, ListOf | MapOf):
        for entry in _entries(rule):
            yield from _in_schema(entry, kind.entry, f"{above}.{ANY}")
    elif isinstance(kind, Struct):
        for each in _alternatives(rule):
            for name, below in each.get("properties", {}).items():
                yield f"{above}.{name}"
                if name in kind.fields:
                    yield from _in_schema(below, kind.fields[name].kind, f"{above}.{name}")


def _declared(kind: Kind, above: str) -> Iterator[str]:
    if isinstance(kind, ListOf | MapOf):
        yield from _declared(kind.entry, f"{above}.{ANY}")
    elif isinstance(kind, Struct):
        for name, field in kind.fields.items():
            yield f"{above}.{name}"
            yield from _declared(field.kind, f"{above}.{name}")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_schema_and_the_declarations_have_the_same_attributes(section: str) -> None:
    known = set(_in_schema(schema()["properties"][section], SECTIONS[section], section))
    declared = set(_declared(SECTIONS[section], section))
    hidden = marked(ModelOnly)
    assert known - declared == {each for each in WITHOUT_FIELD if each.startswith(f"{section}.")}
    assert {each for each in declared - known if not _is_below(each, hidden)} == set()


def _is_below(path: str, patterns: Any) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in patterns)


def test_top_level_attributes_are_sections_or_listed() -> None:
    listed = {each for each in WITHOUT_FIELD if "." not in each}
    assert set(schema()["properties"]) == {*SECTIONS, *listed}


def test_nothing_is_declared_twice() -> None:
    counted = Counter(each.pattern for each in attributes() if each.kind is not None)
    assert [pattern for pattern, count in counted.items() if count > 1] == []


def test_a_mark_below_an_attribute_names_something() -> None:
    """What `At` speaks of is there, or is an entry of a list or map."""
    patterns = {each.pattern.replace("[]", ANY) for each in attributes() if each.kind is not None}
    loose = [
        each.pattern
        for each in attributes()
        if each.kind is None and not each.pattern.endswith(ANY)
        if each.pattern.replace("[]", ANY) not in patterns
    ]
    assert loose == []


def test_what_has_no_field_says_why() -> None:
    assert all(mark.note for pattern, mark in WITHOUT_FIELD.items() if "." in pattern)


def test_each_attribute_of_the_schema_is_declared_or_has_a_reason() -> None:
    """Other forms of declared ones are listed here; all have an answer in `SUPPORT`."""
    declared = {each.pattern.replace(ITEM, ANY) for each in attributes()}
    undeclared = attributes_of(schema()) - declared - WITHOUT_FIELD.keys()
    assert undeclared == {
        *(
            f"{section}.*.external.name"
            for section in ("configs", "secrets", "networks", "volumes")
        ),
        *(f"include.*.{name}" for name in ("env_file", "path", "project_directory")),
    }
    assert all(nearest_mark(SUPPORT, each) is not None for each in attributes_of(schema()))


def test_what_another_schema_has_is_told() -> None:
    """So that a newer one can be looked at before it is taken over."""
    other = json.loads(json.dumps(schema()))
    assert difference(other) == []
    service = other["$defs"]["service"]["properties"]
    service["new"] = {"type": "object", "properties": {"deep": {"type": "string"}}}
    del service["image"]
    assert difference(other) == [
        "+ services.*.new: no model has it",
        "+ services.*.new.deep: no model has it",
        "- services.*.image",
    ]


def test_an_attribute_newer_than_the_schema_says_how_it_is_written() -> None:
    """The schema takes it in; once the specification has it, the specification counts."""
    old: _Schema = {"$defs": {"service": {"properties": {"image": {"type": "string"}}}}}
    newer = {"services.*.image": Schema(type="number"), "services.*.new": Schema(type="boolean")}
    made = completed(old, newer)["$defs"]["service"]["properties"]
    assert made == {"image": {"type": "string"}, "new": {"type": "boolean"}}
