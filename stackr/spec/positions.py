"""From a key's path back to its file, line and column.

The files are only read again, for the marks of libyaml's events, when a problem is to be shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from yaml import CSafeLoader
from yaml.error import YAMLError
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from stackr.spec.layers import Layers
from stackr.spec.rules import Path
from stackr.spec.scalars import resolve

_MERGE = "<<"
_MAX_DEPTH = 200
_WIDTH = 120


class Place(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Scalar(NamedTuple):
    """A scalar as it is written; `plain` means without quotes. Line and column count from 1."""

    path: Path
    text: str
    plain: bool
    line: int
    column: int


class Node:
    """A value's place (line and column count from 0), and the places of what is in it."""

    __slots__ = ("children", "column", "is_scalar", "keys", "line", "merges", "plain", "text")

    def __init__(self, mark: Any, text: str = "") -> None:
        self.line, self.column, self.text = mark.line, mark.column, text
        self.plain = self.is_scalar = False
        self.children: dict[str | int, Node] = {}
        self.keys: dict[str | int, Node] = {}
        self.merges: list[Node] = []

    @property
    def is_null(self) -> bool:
        return self.plain and resolve(self.text) is None

    def value(self) -> Any:
        """The value as it is written, with what is merged into it."""
        if self.is_scalar:
            return resolve(self.text) if self.plain else self.text
        if all(isinstance(key, int) for key in self.children) and not self.keys:
            return [node.value() for node in self.children.values()]
        own = {str(key): node.value() for key, node in self.children.items() if key != _MERGE}
        for merge in self.merges:
            sources = merge.value()
            for source in sources if isinstance(sources, list) else [sources]:
                own = {**source, **own} if isinstance(source, dict) else own
        return own

    def child(self, part: str | int) -> Node | None:
        return self._inherited("children", part) or self._item(part)

    def key(self, part: str | int) -> Node | None:
        return self._inherited("keys", part)

    def _item(self, part: str | int) -> Node | None:
        """A short form's list item that stands for a key: `- NAME` or `- NAME=value`."""
        if isinstance(part, int):
            return None
        items = (node for key, node in self.children.items() if isinstance(key, int))
        return next((node for node in items if node.text.partition("=")[0] == part), None)

    def _inherited(self, table: str, part: str | int) -> Node | None:
        """Look in this mapping, then in those that `<<` (a mapping or a list of them) names."""
        waiting, seen = [self], {id(self)}
        while waiting:
            node = waiting.pop(0)
            found: Node | None = getattr(node, table).get(part)
            if found is not None:
                return found
            for merge in node.merges:
                for source in (
                    merge,
                    *(merge.children[i] for i in merge.children if type(i) is int),
                ):
                    if id(source) not in seen:
                        seen.add(id(source))
                        waiting.append(source)
        return None


class _Indexer:
    """Follows the events of a file, noting where each key and value stands."""

    def __init__(self) -> None:
        self.roots: list[Node] = []
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []

    def feed(self, event: Any) -> None:
        kind = type(event)
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            self._open.pop()
        elif kind is AliasEvent:
            self._place(self._anchors.get(event.anchor) or Node(event.start_mark), "")
        elif kind in (ScalarEvent, MappingStartEvent, SequenceStartEvent):
            text = getattr(event, "value", "")
            node = Node(event.start_mark, text)
            node.is_scalar = kind is ScalarEvent
            node.plain = kind is ScalarEvent and event.implicit[0] and event.tag is None
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            self._place(node, text)
            if kind is not ScalarEvent:
                self._open.append(_Open(node, is_map=kind is MappingStartEvent))

    @property
    def depth(self) -> int:
        return len(self._open)

    def _place(self, node: Node, text: str) -> None:
        if not self._open:
            self.roots.append(node)
        else:
            self._open[-1].take(node, text)


class _Open:
    """A mapping or sequence whose end has not been seen."""

    __slots__ = ("is_map", "key", "name", "node")

    def __init__(self, node: Node, *, is_map: bool) -> None:
        self.node, self.is_map = node, is_map
        self.key: Node | None = None
        self.name = ""

    def take(self, node: Node, text: str) -> None:
        if not self.is_map:
            self.node.children[len(self.node.children)] = node
        elif self.key is None:
            self.key, self.name = node, text
        else:
            if self.name == _MERGE:
                self.node.merges.append(node)
            self.node.children[self.name] = node
            self.node.keys[self.name] = self.key
            self.key = None


def _index(data: bytes) -> list[Node]:
    """The places of every value of a file's documents, as far as the text can be read."""
    indexer = _Indexer()
    parser: Any = CSafeLoader(data)
    try:
        while indexer.depth <= _MAX_DEPTH:
            event = parser.get_event()
            if type(event) is StreamEndEvent:
                break
            indexer.feed(event)
    except YAMLError:
        pass
    return indexer.roots


class Sources:
    """The texts that a project was read from; `layers` knows which of them counts."""

    def __init__(self, cwd: str) -> None:
        self.layers = Layers()
        self._reading: list[str] = []
        self._cwd = cwd.rstrip("/") + "/"
        self._files: dict[str, bytes] = {}
        self._order: list[str] = []
        self._index: dict[str, list[Node]] = {}
        self._lines: dict[str, list[str]] = {}

    def add(self, file: str, data: bytes, *, searched: bool = True) -> None:
        """Remember a file's text; of those that are searched, one read later comes first."""
        self._files[file] = data
        self._lines.pop(file, None)
        if not searched:
            return
        if file in self._order:
            self._order.remove(file)
        self._order.append(file)

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """What is looked for in here most likely stands in this file."""
        self._reading.append(file)
        try:
            yield
        finally:
            self._reading.pop()

    def digest(self) -> str:
        """The SHA-256 of all files, in their order, in hexadecimal digits."""
        whole = sha256()
        for file in self._order:
            data = self._files[file]
            whole.update(b"%d\n" % len(data) + data)
        return whole.hexdigest()

    def relative(self, place: Place) -> Place:
        """The place, its file as it is shown."""
        return place._replace(file=self.shown(place.file))

    def shown(self, file: str) -> str:
        """A file as it is shown; one below the working folder by its relative path."""
        return file.removeprefix(self._cwd)

    def find(self, path: Path, *, at_key: bool = False) -> Place | None:
        """Where `path` is written, or the closest of its parents that is."""
        best: tuple[int, Place] | None = None
        for file, candidate in self._candidates(path):
            found = self._deepest(file, candidate, at_key=at_key)
            if found is not None and (best is None or found[0] > best[0]):
                best = found
        return best[1] if best is not None else None

    def nodes(self, file: str, path: Path) -> Iterator[tuple[int, Node]]:
        """How far the documents of a file, the last one first, go along a path, and to what."""
        for root in reversed(self._nodes(file)):
            yield _follow(root, path, at_key=False)

    def lines(self, file: str) -> list[str]:
        """The lines of a file's text; [] for one that is not known."""
        if file not in self._lines:
            text = self._files.get(file, b"").decode("utf-8", "replace")
            self._lines[file] = text.splitlines()
        return self._lines[file]

    def find_variable(self, name: str) -> Place | None:
        """Where a file first mentions a variable, `$NAME` or `${NAME...`; comments do not count."""
        mention = re.compile(rf"(?<!\$)(?:\$\$)*\$\{{?{re.escape(name)}(?![A-Za-z0-9_])")
        for file in self._order:
            for number, line in enumerate(self.lines(file), start=1):
                found = mention.search(line)
                if found and not line.lstrip().startswith("#"):
                    return Place(file, number, found.start() + 1)
        return None

    def find_in(self, file: str, path: Path, *, at_key: bool = False) -> Place | None:
        """As `find`, in one file only."""
        found = self._deepest(file, path, at_key=at_key)
        return found[1] if found is not None else None

    def _deepest(self, file: str, path: Path, *, at_key: bool) -> tuple[int, Place] | None:
        found = [_follow(root, path, at_key=at_key) for root in reversed(self._nodes(file))]
        if not found:
            return None
        depth, node = max(found, key=lambda each: each[0])
        return depth, Place(file, node.line + 1, node.column + 1)

    def _candidates(self, path: Path) -> Iterator[tuple[str, Path]]:
        if self._reading:
            yield self._reading[-1], path
        for layer in self.layers.of(path):
            yield layer.file, layer.path
        for file in reversed(self._order):
            yield file, path

    def _nodes(self, file: str) -> list[Node]:
        if file not in self._index:
            self._index[file] = _index(self._files.get(file, b""))
        return self._index[file]

    def scalars(self) -> Iterator[tuple[str, list[Scalar]]]:
        """Every scalar value of every file, as it is written."""
        for file in self._order:
            found: list[Scalar] = []
            waiting: list[tuple[Path, Node]] = [((), root) for root in self._nodes(file)]
            seen: set[int] = set()
            while waiting:
                path, node = waiting.pop()
                if id(node) in seen:
                    continue
                seen.add(id(node))
                if node.children:
                    waiting += [((*path, key), child) for key, child in node.children.items()]
                elif node.text:
                    place = (node.line + 1, node.column + 1)
                    found.append(Scalar(path, node.text, node.plain, *place))
            yield file, found

    def snippet(self, place: Place) -> str:
        """The line of a place and the one before it, numbered, with a marker below."""
        lines = self.lines(place.file)
        numbers = range(max(place.line - 1, 1), min(place.line, len(lines)) + 1)
        if not numbers:
            return ""
        width = len(str(place.line))
        start = max(place.column - _WIDTH // 2, 0) if place.column > _WIDTH else 0
        rows = [
            f"{n:>{width}} | {_printable(lines[n - 1][start : start + _WIDTH])}" for n in numbers
        ]
        return "\n".join([*rows, f"{' ' * width} | {' ' * (place.column - 1 - start)}^"])


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else " " for char in line)


def _follow(root: Node, path: Path, *, at_key: bool) -> tuple[int, Node]:
    node = root
    for depth, part in enumerate(path):
        child = node.child(part)
        if child is None:
            return depth, node
        if at_key and depth == len(path) - 1:
            return depth + 1, node.key(part) or child
        node = child
    return len(path), node
