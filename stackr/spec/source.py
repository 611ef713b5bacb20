"""YAML text to plain values.

Values are built straight from libyaml's events, with merge keys and aliases resolved as go-yaml v3
resolves them. Depth, size and the expansion of aliases are bounded, so that no file can use up the
machine. `stackr.spec.positions` finds where a value stands.
Source: YAML 1.2; go-yaml v3, decode.go; compose-go, loader/reset.go for `!reset` and `!override`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from yaml import CSafeLoader
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from stackr.spec.rules import Path, show
from stackr.spec.scalars import resolve, resolve_tagged

MAX_BYTES = 16 << 20
MAX_DEPTH = 200
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
MAX_NODES = 250_000
MAX_ALIASED_NODES = 100_000
MAX_PROJECT_NODES = 1_000_000
_LONG = 128

_MARK, _LETTER = "\ufeff".encode(), "\ue0ff".encode()
_DROPPED = object()
_MERGE = "<<"


class BadSource(Exception):
    """YAML that cannot be read: what, and where (0-based line and column)."""

    def __init__(self, message: str, line: int, column: int, path: Path = ()) -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.path = message, line, column, path


class Budget:
    """What all files of a load may hold together, with what aliases and `extends` repeat."""

    def __init__(self) -> None:
        self.left = MAX_PROJECT_NODES

    def spend(self, nodes: int) -> bool:
        """Whether so many keys and values are still allowed."""
        self.left -= nodes
        return self.left >= 0


class Document(NamedTuple):
    """One YAML document: its value, and the paths that `!reset` or `!override` mark."""

    value: Any
    resets: tuple[Path, ...]


class _Anchor(NamedTuple):
    """What an alias stands for; `uses`: the paths of its aliases so far."""

    value: Any
    nodes: int
    overrides: tuple[Path, ...]
    uses: list[Path]


def _anchor(value: Any, nodes: int, overrides: tuple[Path, ...] = ()) -> _Anchor:
    return _Anchor(value, nodes, overrides, [])


class _Frame:
    """A mapping or sequence that is being read."""

    __slots__ = ("anchor", "is_map", "key", "keys", "merge", "override", "path", "start", "value")

    def __init__(self, value: Any, path: Path, anchor: str | None, start: int) -> None:
        self.value = value
        self.is_map = isinstance(value, dict)
        self.path = path
        self.anchor = anchor
        self.start = start
        self.key: str | None = None
        self.keys: dict[str, int] = {}
        self.merge: Any = None
        self.override = False


def documents(data: bytes, budget: Budget | None = None) -> Iterator[Document]:
    """Read the YAML documents of a file, one after the other.

    data: the file's bytes, UTF-8 or UTF-16 with a byte order mark. budget: what is left for it.
    Raises BadSource for text that is not YAML, or that is too large or too deep.
    """
    if len(data) > MAX_BYTES:
        raise BadSource(f"the file is larger than {MAX_BYTES >> 20} MiB", 0, 0)
    is_marked = _MARK in data[1:]
    if is_marked:
        # At the start of a line, libyaml skips the mark, and go-yaml takes it for a letter.
        data = data[:1] + data[1:].replace(_MARK, _LETTER)
    parser = CSafeLoader(data)
    escapes = _Escapes(data) if b"\\/" in data else None
    try:
        while True:
            event = parser.get_event()
            if isinstance(event, StreamEndEvent):
                return
            if isinstance(event, DocumentStartEvent):
                if event.version not in (None, (1, 1)):
                    raise _bad("found incompatible YAML document: only %YAML 1.1 is read", event)
                reader = _Reader(parser, escapes)
                document = reader.read()
                if budget is not None and not budget.spend(reader.nodes):
                    raise _bad(f"the files have more than {MAX_PROJECT_NODES} values", event)
                yield _with_marks(document) if is_marked else document
    except MarkedYAMLError as error:
        raise _not_yaml(data, error) from error
    except YAMLError as error:
        raise _unreadable(data, error) from error


def _with_marks(document: Document) -> Document:
    """The document with the byte order marks that letters stand for."""

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            return {restored(key): restored(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [restored(entry) for entry in value]
        return value.replace(_LETTER.decode(), _MARK.decode()) if type(value) is str else value

    return document._replace(value=restored(document.value))


def _not_yaml(data: bytes, error: MarkedYAMLError) -> BadSource:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return BadSource(error.problem or str(error), 0, 0)
    if "maximum nesting depth" in (error.problem or ""):  # libyaml has a limit of its own
        return BadSource(_TOO_DEEP, mark.line, mark.column)
    context, begin = error.context, error.context_mark
    if context and begin is not None and begin.line != mark.line:
        context = f"{context} that begins at line {begin.line + 1}"
    message = ": ".join(part for part in (context, error.problem) if part)
    line = (data.splitlines() or [b""])[mark.line :][:1]
    if line and line[0][mark.column : mark.column + 1] == b"\t":
        message = f"{message}: a tab, where YAML takes only spaces"
    return BadSource(message, mark.line, mark.column)


def _unreadable(data: bytes, error: YAMLError) -> BadSource:
    position = getattr(error, "position", None)
    before = data[:position] if isinstance(position, int) else b""
    line_start = before.rfind(b"\n") + 1
    reason = str(getattr(error, "reason", "") or error).splitlines()[0]
    return BadSource(reason, before.count(b"\n"), len(before) - line_start)


_ESCAPED_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")


class _Escapes:
    """Finds `\\/` in double quotes, which libyaml takes and go-yaml does not."""

    def __init__(self, data: bytes) -> None:
        self._text = data.decode("utf-8-sig", "replace")

    def check(self, event: Any) -> None:
        written = self._text[event.start_mark.index : event.end_mark.index]
        if event.style == '"' and _ESCAPED_SLASH.search(written):
            raise _bad("found unknown escape character: write / for \\/", event)


class _Reader:
    """Reads the events of one document into values."""

    def __init__(self, parser: Any, escapes: _Escapes | None) -> None:
        self._escapes = escapes
        self._next = parser.get_event
        self._anchors: dict[str, _Anchor] = {}
        self._open: set[str] = set()
        self._resets: list[Path] = []
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._long = 0
        self._aliased = 0
        self._result: Any = None

    @property
    def nodes(self) -> int:
        """How many keys and values have been read, those that aliases stand for included.

        A long text counts for several.
        """
        return self._nodes + self._aliased + self._long

    def read(self) -> Document:
        while True:
            event = self._next()
            kind = type(event)
            if kind is ScalarEvent:
                self._scalar(event)
            elif kind is MappingStartEvent:
                self._push(event, {})
            elif kind is SequenceStartEvent:
                self._push(event, [])
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._pop(event)
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentEndEvent:
                return Document(self._result, tuple(self._resets))

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _bad(f"the file has more than {MAX_NODES} keys and values", event)

    def _scalar(self, event: Any) -> None:
        self._count(event)
        if len(event.value) >= _LONG:
            self._long += len(event.value) // _LONG
        if self._escapes is not None:
            self._escapes.check(event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.is_map and frame.key is None:
            self._key(frame, event)
            return
        tag = event.tag
        if tag is None or tag == "!":
            value = resolve(event.value) if _is_plain(event) else event.value
        elif tag in ("!reset", "!override"):
            value = self._marked(tag, event.value)
        else:
            value = self._tagged(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(
                value, size(value), ((),) if tag == "!override" else (), []
            )
        self._emit(value, event)

    def _tagged(self, event: Any) -> Any:
        try:
            return resolve_tagged(event.tag, event.value)
        except ValueError as error:
            raise _bad(str(error), event) from error

    def _key(self, frame: _Frame, event: Any) -> None:
        name = event.value
        self._note_key(frame, name, event)
        if event.tag is not None and event.tag != "!":
            key = self._tagged(event)
        else:
            key = resolve(name) if _is_plain(event) else name
        if type(key) is not str:
            where = "in a mapping" if frame.path else "at top level"
            raise _bad(f"non-string key {where}: {name or 'null'}", event, frame.path)
        frame.key = key
        if event.anchor is not None:
            self._anchors[event.anchor] = _anchor(key, 1)
        if key == _MERGE and not _is_merge_key(event):
            frame.key = _QUOTED_MERGE

    def _note_key(self, frame: _Frame, name: str, event: Any) -> None:
        if name in frame.keys:
            line = frame.keys[name] + 1
            raise _bad(
                f'mapping key "{name}" already defined at line {line}', event, (*frame.path, name)
            )
        frame.keys[name] = event.start_mark.line

    def _here(self) -> Path:
        """The path of the value that comes next; a merge key leaves no trace in it."""
        if not self._stack:
            return ()
        frame = self._stack[-1]
        if not frame.is_map:
            return (*frame.path, len(frame.value))
        return frame.path if frame.key == _MERGE else (*frame.path, str(frame.key))

    def _marked(self, tag: str, value: Any) -> Any:
        if self._overridden():
            return value
        self._resets.append(self._here())
        return _DROPPED if tag == "!reset" else value

    def _overridden(self) -> bool:
        return any(frame.override for frame in self._stack)

    def _push(self, event: Any, value: Any) -> None:
        self._count(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _bad(_TOO_DEEP, event)
        if self._stack and self._stack[-1].is_map and self._stack[-1].key is None:
            raise _bad("a mapping or a list cannot be a key", event, self._stack[-1].path)
        frame = _Frame(value, self._here(), event.anchor, self.nodes)
        if event.anchor is not None:
            self._open.add(event.anchor)
        if event.tag in ("!reset", "!override"):
            frame.override = True
            marked = self._marked(event.tag, value)
            frame.merge = marked if marked is _DROPPED else None
        self._stack.append(frame)

    def _pop(self, event: Any) -> None:
        frame = self._stack.pop()
        value = frame.value
        if frame.is_map and frame.merge is not None and frame.merge is not _DROPPED:
            _merge(value, frame.merge, event)
        if frame.merge is _DROPPED:
            value = _DROPPED
        if frame.anchor is not None:
            self._open.discard(frame.anchor)
            depth = len(frame.path)
            overrides = tuple(path[depth:] for path in self._resets if path[:depth] == frame.path)
            self._anchors[frame.anchor] = _Anchor(
                value, self.nodes - frame.start + 1, overrides, []
            )
        self._emit(value, event)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name in self._open:
            raise _bad(f'cycle: "*{name}" stands inside the value that "&{name}" names', event)
        anchor = self._anchors.get(name)
        if anchor is None:
            raise _bad(f"unknown anchor '{name}' referenced", event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.is_map and frame.key is None:
            self._note_key(frame, name, event)
            if type(anchor.value) is not str:
                raise _bad("non-string key in a mapping", event, frame.path)
            frame.key = anchor.value
            return
        self._check_use(name, anchor, event)
        self._aliased += anchor.nodes
        if self._aliased > MAX_ALIASED_NODES:
            raise _bad(f"aliases stand for more than {MAX_ALIASED_NODES} values", event)
        if anchor.overrides and not self._overridden():
            here = self._here()
            self._resets += [(*here, *path) for path in anchor.overrides]
        self._emit(clone(anchor.value), event)

    def _check_use(self, name: str, anchor: _Anchor, event: Any) -> None:
        """Refuse what Docker Compose takes for a cycle: a mapping that is merged with an anchor
        and has it in a value as well."""
        here = self._here()
        for before in anchor.uses:
            shorter, longer = sorted((before, here), key=len)
            if shorter and len(shorter) < len(longer) and longer[: len(shorter)] == shorter:
                where = show(shorter)
                raise _bad(f'cycle: "*{name}" is merged into {where} and stands in it', event, here)
        anchor.uses.append(here)

    def _emit(self, value: Any, event: Any) -> None:
        if not self._stack:
            self._result = None if value is _DROPPED else value
            return
        frame = self._stack[-1]
        if not frame.is_map:
            if value is not _DROPPED:
                frame.value.append(value)
            return
        key, frame.key = frame.key, None
        if key == _MERGE:
            if not _is_mergeable(value):
                raise _bad("map merge requires map or sequence of maps as the value", event)
            frame.merge = value
        elif value is not _DROPPED and key is not None:
            frame.value[_MERGE if key is _QUOTED_MERGE else key] = value


class _QuotedMerge(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


_QUOTED_MERGE = _QuotedMerge(_MERGE)


def _is_plain(event: Any) -> bool:
    """Whether a scalar is written without quotes and is no block; the tag `!` says nothing."""
    return not event.style


def _is_merge_key(event: Any) -> bool:
    """Whether `<<` is the merge key: it is neither quoted nor of another tag."""
    if event.tag in (None, "!"):
        return _is_plain(event)
    return bool(event.tag == "tag:yaml.org,2002:merge")


def _is_mergeable(value: Any) -> bool:
    entries = value if isinstance(value, list) else [value]
    return all(isinstance(entry, dict) for entry in entries)


def _merge(value: dict[str, Any], merged: Any, event: Any) -> None:
    for entry in merged if isinstance(merged, list) else [merged]:
        for key, inherited in entry.items():
            value.setdefault(key, inherited)


def _bad(message: str, event: Any, path: Path = ()) -> BadSource:
    return BadSource(message, event.start_mark.line, event.start_mark.column, path)


def size(value: Any) -> int:
    """How much a tree holds: its keys and values, a long text counting for several."""
    if isinstance(value, dict):
        return 1 + sum(1 + size(entry) for entry in value.values())
    if isinstance(value, list):
        return 1 + sum(map(size, value))
    return 1 + len(value) // _LONG if type(value) is str else 1


def clone(value: Any) -> Any:
    """A copy of a tree that shares no map or list with it."""
    if isinstance(value, dict):
        return {key: clone(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [clone(entry) for entry in value]
    return value
