"""The attributes of a stack file, as the models declare them: their kinds, and tables of rules.

The order of the attributes is that of the fields, which is Docker Compose's: the hash of a service
depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple, TypeVar

from stackr.spec.attribute import At, Mark, Rule
from stackr.spec.decode import Kind, ListOf, MapOf, Struct
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.rules import ANY, ITEM
from stackr.spec.structs import struct_of

__all__ = ["PROJECT", "SECTIONS", "SERVICE", "Attribute", "attributes", "rules"]

R = TypeVar("R")


class Attribute(NamedTuple):
    """An attribute, or each entry (`*`, of a list `[]`) or key of one, and what is known of it."""

    pattern: str
    kind: Kind | None
    marks: tuple[Mark, ...]


@cache
def attributes() -> tuple[Attribute, ...]:
    """All of them, in their order, each right before what is below it."""
    return tuple(_below(PROJECT, ""))


def _below(kind: Kind, above: str) -> Iterator[Attribute]:
    if isinstance(kind, Struct):
        for name, field in kind.fields.items():
            pattern = f"{above}.{name}" if above else name
            yield Attribute(pattern, field.kind, field.marks)
            for mark in field.marks:
                if isinstance(mark, At):
                    yield Attribute(f"{pattern}.{mark.path}", None, mark.marks)
            yield from _below(field.kind, pattern)
    elif isinstance(kind, ListOf):
        yield from _below(kind.entry, f"{above}.{ITEM}")
    elif isinstance(kind, MapOf):
        yield from _below(kind.entry, f"{above}.{ANY}")


def rules(sort: type[Rule[R]], *, item: str = ANY) -> Mapping[str, R]:
    """Pattern -> rule, of the attributes that have one of this sort.

    item: how the patterns name each item of a list.
    """
    return {
        attribute.pattern.replace(ITEM, item): mark.rule
        for attribute in attributes()
        for mark in attribute.marks
        if type(mark) is sort
    }


PROJECT = struct_of(Project)
SECTIONS = {name: field.kind for name, field in PROJECT.fields.items()}
SERVICE = struct_of(Service)
