"""The kind of what is read into a model, from its fields: the types, and what stands with them."""

from __future__ import annotations

import types
from functools import cache
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from stackr.spec.attribute import NAMES, Mark, Own, Written
from stackr.spec.decode import Field, Kind, ListOf, MapOf, Struct
from stackr.spec.model.base import Model
from stackr.spec.values import BY_TYPE, STRING

__all__ = ["struct_of"]


@cache
def struct_of(model: type[Model], *, pointer: bool = True, closed: bool = False) -> Struct:
    """The kind of what is read into a model. `pointer`, `closed`: see `Struct`."""
    fields = {
        name: _field(field, closed)
        for name, field in model.model_fields.items()
        if name != "extensions" and not any(isinstance(mark, Own) for mark in field.metadata)
    }
    return model.read_as(model, fields, pointer=pointer, closed=closed)


def _field(field: FieldInfo, closed: bool) -> Field:
    kind, written, marks = None, Written(), []
    for mark in field.metadata:
        if isinstance(mark, Mark):
            marks.append(mark)
        elif isinstance(mark, Kind):
            kind = mark
        elif isinstance(mark, Written):
            written = mark
    kind = kind or _kind(field.annotation, closed=closed, named=NAMES in marks)
    return Field(kind, written, tuple(marks))


def _kind(annotation: Any, *, closed: bool, named: bool) -> Kind:
    """The kind of a type."""
    plain = BY_TYPE.get(annotation)
    if plain is not None:
        return plain
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return struct_of(annotation, pointer=False, closed=closed)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (types.UnionType, Union):
        return struct_of(parts[0], closed=closed)
    if origin is tuple:
        return ListOf(struct_of(parts[0], closed=closed))
    if origin is dict:
        value = parts[1]
        is_nullable = get_origin(value) in (types.UnionType, Union)
        entry = get_args(value)[0] if is_nullable else value
        return MapOf(struct_of(entry, closed=closed), nullable=is_nullable, named=named)
    return STRING  # one of some words
