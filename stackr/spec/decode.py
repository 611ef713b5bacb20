"""The kinds of values that attributes have: how each is read, written out, and put in the models.

A tree is decoded to a tree of typed values: durations in nanoseconds, sizes in bytes, lists of
`key=value` as maps. What is zero is as good as absent, except where a kind says otherwise.
`stackr.spec.declared` says which attribute is of which kind.
Source: compose-go, types/; mapstructure; Go's encoding/json for what `omitempty` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

from stackr.spec import units
from stackr.spec.attribute import Mark, Written
from stackr.spec.key_order import all_in_order, in_order
from stackr.spec.problems import Finding, nearest
from stackr.spec.readers import EXTENSIONS, expected, fold_extensions
from stackr.spec.rules import Path

EXTENSION = "x-stackr"
"""The extension that is stackr's own."""


class Faults:
    """Collects what could not be decoded."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(
        self, path: Path, message: str, *, hint: str | None = None, at_key: bool = False
    ) -> None:
        self.found.append(Finding(path, message, hint, at_key))


class Kind:
    """A kind of value; this one takes anything as it is."""

    never_empty = False
    """Written out even when it is zero, as a Go struct or pointer is."""

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        """The typed value; what is wrong is told to `faults`. None stays out of here."""
        return value

    def plain(self, value: Any, *, yaml: bool) -> Any:
        """What `config` prints for a typed value, as JSON or for YAML."""
        return value

    def hold(self, value: Any) -> Any:
        """What the models hold for a typed value."""
        return value


class Unit(Enum):
    """What a number in a model counts."""

    SECONDS = "s"
    BYTES = "bytes"
    FILE_MODE = "file mode"


class Scalar(Kind):
    """A value that one function reads, which raises ValueError."""

    def __init__(
        self,
        read: Callable[[Any], Any],
        *,
        write: Callable[[Any], Any] | None = None,
        hold: Callable[[Any], Any] | None = None,
        unit: Unit | None = None,
        pointer: bool = False,
    ) -> None:
        self.unit = unit
        self._read, self._write, self._hold = read, write, hold
        self.never_empty = pointer

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        try:
            return self._read(value)
        except ValueError as error:
            faults.add(path, str(error))
            return None

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if yaml and isinstance(value, float):
            return value
        written = self._write(value) if self._write is not None else value
        return _sorted(written, yaml=yaml) if isinstance(written, dict) else written

    def hold(self, value: Any) -> Any:
        return self._hold(value) if self._hold is not None else value


def _sorted(tree: dict[str, Any], *, yaml: bool) -> dict[str, Any]:
    return in_order(tree) if yaml else dict(sorted(tree.items()))


class ListOf(Kind):
    """A list, each of its entries of one kind."""

    def __init__(self, kind: Kind, empty: Any = None) -> None:
        self.entry, self._empty = kind, empty

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, list):
            faults.add(path, str(expected("a list", value)))
            return None
        return [
            self._empty if entry is None else self.entry.decode(entry, (*path, index), faults)
            for index, entry in enumerate(value)
        ]

    def plain(self, value: Any, *, yaml: bool) -> Any:
        return [None if entry is None else self.entry.plain(entry, yaml=yaml) for entry in value]

    def hold(self, value: Any) -> Any:
        return tuple(self.entry.hold({} if entry is None else entry) for entry in value)


class MapOf(Kind):
    """A map from names, each of its values of one kind; `named`: x-* is a name as any other."""

    def __init__(self, kind: Kind, *, nullable: bool = False, named: bool = False) -> None:
        self.entry, self._nullable, self._named = kind, nullable, named

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, dict):
            faults.add(path, str(expected("a mapping", value)))
            return None
        entries = value if self._named else fold_extensions(value)
        return {
            key: self._none() if entry is None else self.entry.decode(entry, (*path, key), faults)
            for key, entry in entries.items()
        }

    def _none(self) -> Any:
        return None if self._nullable else {}

    def plain(self, value: Any, *, yaml: bool) -> Any:
        return {
            key: None if entry is None else self.entry.plain(entry, yaml=yaml)
            for key, entry in _sorted(value, yaml=yaml).items()
        }

    def hold(self, value: Any) -> Any:
        return {
            key: None if entry is None else self.entry.hold(entry) for key, entry in value.items()
        }


class Unprintable(ValueError):
    """A value that JSON has no form for, as Docker Compose writes it."""


class Field(NamedTuple):
    """An attribute: its kind, how it is written out, and what else is known of it."""

    kind: Kind
    written: Written = Written()
    marks: tuple[Mark, ...] = ()


class Struct(Kind):
    """A map with known keys; `x-*` keys are kept apart.

    pointer: it may be absent, rather than have nothing in it. closed: other keys are refused
    here, where no schema has done so.
    """

    never_empty = True

    def __init__(
        self,
        model: type[BaseModel],
        fields: Mapping[str, Field],
        *,
        pointer: bool = True,
        closed: bool = False,
    ) -> None:
        self.model, self.fields = model, fields
        self._pointer, self._closed = pointer, closed

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, dict):
            faults.add(path, str(expected("a mapping", value)))
            return None
        typed: dict[str, Any] = {}
        extensions: dict[str, Any] = {}
        for key, entry in value.items():
            field = self.fields.get(key)
            if field is not None:
                if entry is not None:
                    decoded = field.kind.decode(entry, (*path, key), faults)
                    if decoded is not None:
                        typed[key] = decoded
            elif key.startswith("x-"):
                extensions[key] = entry
            elif self._closed:
                hint = nearest(key, self.fields)
                faults.add((*path, key), f'unknown key "{key}"', hint=hint, at_key=True)
        if extensions:
            typed[EXTENSIONS] = extensions
        return typed

    def plain(self, value: Any, *, yaml: bool) -> Any:
        shown: dict[str, Any] = {}
        for name, field in self.fields.items():
            entry = value.get(name)
            if entry is None and not (isinstance(field.kind, Struct) and not field.kind._pointer):
                written = field.written
                if written.always and (not yaml or written.zero is not None):
                    shown[name if yaml else written.shown or name] = written.zero
                continue
            plain = _plain(field, {} if entry is None else entry, yaml=yaml)
            if plain is not _OMITTED:
                shown[name if yaml else field.written.shown or name] = plain
        if yaml:
            shown |= all_in_order(value.get(EXTENSIONS, {}))
        return shown

    def hold(self, value: Any) -> Any:
        return self.model_of(value)

    def model_of(
        self, value: Mapping[str, Any], own: Mapping[str, Any] = MappingProxyType({})
    ) -> Any:
        """The pydantic model of a typed value, which `decode` has checked: it is not again.

        own: attributes that are not from the tree, such as a service's name.
        """
        arguments = {
            key: self.fields[key].kind.hold(entry)
            for key, entry in value.items()
            if key in self.fields and key not in own
        }
        if EXTENSIONS in value and "extensions" not in own:
            arguments["extensions"] = value[EXTENSIONS]
        given: dict[str, Any] = {**arguments, **own}
        return self._blank.model_copy(update=given)

    @cached_property
    def _blank(self) -> BaseModel:
        """The model with nothing given, of which all others are copies.

        pydantic would look for the default of each attribute that is missing, one after the other,
        and copy it: for a service, which has 90, that takes longer than all else that is done to
        load it. Models are frozen, and may share what none of them has said.
        """
        return self.model.model_construct(set())


_OMITTED = object()


def _plain(field: Field, value: Any, *, yaml: bool) -> Any:
    kind = field.kind
    is_struct = isinstance(kind, Struct)
    if not value and not field.written.always and (is_struct or not kind.never_empty):
        by_value = isinstance(kind, Struct) and (not yaml or kind._pointer)
        if not by_value:
            return _OMITTED
    plain = kind.plain(value, yaml=yaml)
    if yaml and not plain and isinstance(kind, Struct) and not kind._pointer:
        return _OMITTED
    return plain


class Ulimit(Struct):
    """A limit for both, or a soft and a hard one."""

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if units.is_int(value):
            return {"single": value} if value else {}
        if not isinstance(value, dict):
            faults.add(path, str(expected("an integer or a mapping", value)))
            return None
        limits = {}
        for name in ("soft", "hard"):
            if name in value and not units.is_int(value[name]):
                faults.add((*path, name), str(expected("an integer", value[name])))
            elif value.get(name):
                limits[name] = value[name]
        return limits

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if value.get("single"):
            return value["single"]
        if yaml:
            return {"soft": value.get("soft", 0), "hard": value.get("hard", 0)}
        return value


class EnvFile(Struct):
    """A file of variables; written as its path alone where it is required."""

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if value.get("required"):
            return value.get("path", "")
        return {**super().plain(value, yaml=yaml), "required": False}


class SshKeys(Kind):
    """SSH keys by name, each a model of `id` and `path`; without a path it is the agent."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def decode(self, value: Any, path: Path, faults: Faults) -> Any:
        if not isinstance(value, dict):
            faults.add(path, str(expected("a mapping", value)))
            return None
        return {
            key: None if entry is None else units.go_text(entry)
            for key, entry in fold_extensions(value).items()
        }

    def plain(self, value: Any, *, yaml: bool) -> Any:
        if not yaml and any(value.values()):
            raise Unprintable("build.ssh: a key with a path cannot be written as JSON: use YAML")
        return [f"{key}: {entry}" if entry else key for key, entry in sorted(value.items())]

    def hold(self, value: Any) -> Any:
        return tuple(self._model.model_construct(id=key, path=path) for key, path in value.items())


__all__ = [
    "EXTENSION",
    "EXTENSIONS",
    "EnvFile",
    "Faults",
    "Field",
    "Kind",
    "ListOf",
    "MapOf",
    "Scalar",
    "SshKeys",
    "Struct",
    "Ulimit",
    "Unit",
    "Unprintable",
]
