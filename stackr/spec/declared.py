"""The attributes of a stack file, as the models declare them: their kinds, and tables of rules.

The order of the attributes is that of the fields, which is Docker Compose's: the hash of a service
depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

from stackr.spec.attribute import At, Mark, Rule, Support, inert, supported
from stackr.spec.decode import EXTENSION, Kind, ListOf, MapOf, Struct
from stackr.spec.model.extension import ServiceExtension
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.rules import ANY, ITEM
from stackr.spec.structs import struct_of

__all__ = [
    "PROJECT",
    "SECTIONS",
    "SERVICE",
    "WITHOUT_FIELD",
    "Attribute",
    "attributes",
    "marked",
    "nearest_mark",
    "of_service",
    "rules",
]

M = TypeVar("M", bound=Mark)
R = TypeVar("R")


WITHOUT_FIELD: Mapping[str, Support] = {
    "name": supported(),
    "version": inert("obsolete"),
    "include": supported(),
    "networks.*.ipam.options": inert("has no meaning in Docker Compose either"),
    "services.*.pull_refresh_after": inert("has no meaning in Docker Compose either"),
}
"""The attributes that no model has: they are gone, or have had their effect, once it is loaded."""


class Attribute(NamedTuple):
    """An attribute, or each entry (`*`, of a list `[]`) or key of one, and what is known of it."""

    pattern: str
    kind: Kind | None
    marks: tuple[Mark, ...]


@cache
def attributes() -> tuple[Attribute, ...]:
    """All of them, in their order, each right before what is below it."""
    extension = struct_of(ServiceExtension, closed=True)
    return (*_below(PROJECT, ""), *_below(extension, f"services.{ANY}.{EXTENSION}"))


def _below(kind: Kind, above: str) -> Iterator[Attribute]:
    if isinstance(kind, Struct):
        for name, field in kind.fields.items():
            pattern = f"{above}.{name}" if above else name
            yield Attribute(pattern, field.kind, field.marks)
            yield from _below(field.kind, pattern)
            for mark in field.marks:
                if isinstance(mark, At):
                    yield Attribute(f"{pattern}.{mark.path}", None, mark.marks)
    elif isinstance(kind, ListOf):
        yield from _below(kind.entry, f"{above}.{ITEM}")
    elif isinstance(kind, MapOf):
        yield from _below(kind.entry, f"{above}.{ANY}")


@cache
def _by_sort() -> dict[type[Mark], dict[str, Any]]:
    found: dict[type[Mark], dict[str, Any]] = {}
    for attribute in attributes():
        for mark in attribute.marks:
            found.setdefault(type(mark), {})[attribute.pattern] = mark
    return found


def marked(sort: type[M], *, item: str = ANY) -> Mapping[str, M]:
    """Pattern -> mark, of the attributes that have one of this sort.

    item: how the patterns name each item of a list.
    """
    found = _by_sort().get(sort, {})
    return {pattern.replace(ITEM, item): mark for pattern, mark in found.items()}


def rules(sort: type[Rule[R]], *, item: str = ANY) -> Mapping[str, R]:
    """Pattern -> rule, of the attributes that have one of this sort."""
    return {pattern: mark.rule for pattern, mark in marked(sort, item=item).items()}


def of_service(sort: type[M]) -> Mapping[str, M]:
    """The same, of the attributes of a service, by their path in it."""
    above = f"services.{ANY}."
    found = marked(sort).items()
    return {at.removeprefix(above): mark for at, mark in found if at.startswith(above)}


def nearest_mark(marks: Mapping[str, M], pattern: str) -> M | None:
    """The mark of an attribute, or of what is nearest above it."""
    while pattern not in marks:
        pattern, dot, _ = pattern.rpartition(".")
        if not dot:
            return None
    return marks[pattern]


PROJECT = struct_of(Project)
SECTIONS = {name: field.kind for name, field in PROJECT.fields.items()}
SERVICE = struct_of(Service)
