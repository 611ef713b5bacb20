"""What all stored records have in common: a kind, a version, and fields that others may add; pure.

A record is a JSON object with its version in `record_version`; one without is of version 1, which
engines wrote that did not know of versions. An older version is migrated as it is read. A newer one
is for a newer engine: `NewerRecord` names it, and nobody changes it. Within a version an engine may
add fields; one that does not know them keeps them when it writes the record back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from stackr.errors import Conflict

__all__ = [
    "VERSION_FIELD",
    "Document",
    "Kind",
    "NewerRecord",
    "Surplus",
    "known_fields",
    "version_of",
]

Document = dict[str, Any]
Migration = Callable[[Document], Document]
T = TypeVar("T")

VERSION_FIELD = "record_version"


class NewerRecord(Conflict):
    """A record that only a newer engine understands."""

    def __init__(self, kind: str, id: str, version: int, known: int) -> None:
        super().__init__(
            f"{kind} {_shown(id)}: its record is of version {version}, and this stackr knows"
            f" {known}: it is left alone",
            hint="start the engine with the stackr that wrote it, or a newer one",
        )


@dataclass(frozen=True, slots=True)
class Surplus:
    """What a stored value has beyond what is known of it.

    fields: by key, as they are. within: of known fields that are objects or lists. items: of a
    list's objects, by what identifies them.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    within: Mapping[str, Surplus] = field(default_factory=dict)
    items: Mapping[str, Surplus] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields or self.within or self.items)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of record, and its stored form.

    parse: given ID and document, of this version. dump: the document of what `parse` returns.
    migrations: each leads from one version to the next, the first from version 1 to 2.
    identities: the field that tells apart the objects of a list, by the list's path ("a.b"); those
    of other lists are the same only as long as nothing of them changes.
    """

    name: str
    parse: Callable[[str, Document], T]
    dump: Callable[[T], Document]
    migrations: tuple[Migration, ...] = ()
    identities: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return 1 + len(self.migrations)

    def upgraded(self, id: str, document: Mapping[str, Any]) -> Document:
        """The document in this version's form, without its version.

        Raises NewerRecord, and ValueError for one that has no version that there is.
        """
        version = version_of(document)
        if version > self.version:
            raise NewerRecord(self.name, id, version, self.version)
        plain = {key: value for key, value in document.items() if key != VERSION_FIELD}
        for migrate in self.migrations[version - 1 :]:
            plain = migrate(plain)
        return plain

    def read(self, id: str, document: Mapping[str, Any]) -> tuple[T, Surplus]:
        """The object, and what its record has besides. Raises as `upgraded` and `parse` do."""
        plain = self.upgraded(id, document)
        value = self.parse(id, plain)
        return value, _surplus(plain, self.dump(value), "", self.identities)

    def written(self, value: T, surplus: Surplus | None = None) -> Document:
        """The document that is stored."""
        document = self.dump(value)
        if surplus:
            document = _with(document, surplus, "", self.identities)
        return {VERSION_FIELD: self.version, **document}


def known_fields(cls: type, document: Mapping[str, Any]) -> Document:
    """What of a document a dataclass has fields for."""
    names = {each.name for each in fields(cls)}
    return {key: value for key, value in document.items() if key in names}


def version_of(document: Mapping[str, Any]) -> int:
    """Raises ValueError for what is no version."""
    version = document.get(VERSION_FIELD, 1)
    if type(version) is not int or version < 1:
        raise ValueError(f"{VERSION_FIELD}: no version: {version!r}")
    return version


def _shown(id: str) -> str:
    """Containers and networks are known by the first digits."""
    return id[:12] if len(id) == 64 else id


def _surplus(stored: Any, known: Any, path: str, identities: Mapping[str, str]) -> Surplus:
    if isinstance(stored, dict) and isinstance(known, Mapping):
        within = {
            key: found
            for key in stored.keys() & known.keys()
            if (found := _surplus(stored[key], known[key], _below(path, key), identities))
        }
        return Surplus({key: stored[key] for key in stored.keys() - known.keys()}, within)
    if isinstance(stored, list) and isinstance(known, (list, tuple)) and len(stored) == len(known):
        items = {
            _identity(item, path, identities): found
            for each, item in zip(stored, known, strict=True)
            if (found := _surplus(each, item, path, identities))
        }
        return Surplus(items=items)
    return Surplus()


def _with(known: Any, surplus: Surplus, path: str, identities: Mapping[str, str]) -> Any:
    """The known value with what was stored besides."""
    if isinstance(known, Mapping):
        merged = {**surplus.fields, **known}
        for key in surplus.within.keys() & known.keys():
            merged[key] = _with(known[key], surplus.within[key], _below(path, key), identities)
        return merged
    if isinstance(known, (list, tuple)) and surplus.items:
        found = [surplus.items.get(_identity(item, path, identities)) for item in known]
        return [
            _with(item, each, path, identities) if each else item
            for item, each in zip(known, found, strict=True)
        ]
    return known


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _identity(item: Any, path: str, identities: Mapping[str, str]) -> str:
    key = identities.get(path)
    if key is not None and isinstance(item, Mapping):
        return str(item.get(key))
    return json.dumps(item, sort_keys=True)
