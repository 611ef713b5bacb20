"""From a key's path back to its file, line and column.

The files are only read again, for the marks of libyaml's events, when a problem is to be shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from yaml._yaml import CParser
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

from stackr.spec.rules import Path

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


class _Node:
    """A value's place, and the places of what is in it."""

    __slots__ = ("children", "column", "keys", "line", "merges", "plain", "text")

    def __init__(self, mark: Any, text: str = "") -> None:
        self.line, self.column, self.text = mark.line, mark.column, text
        self.plain = False
        self.children: dict[str | int, _Node] = {}
        self.keys: dict[str | int, _Node] = {}
        self.merges: list[_Node] = []

    def child(self, part: str | int) -> _Node | None:
        return self._inherited("children", part) or self._item(part)

    def key(self, part: str | int) -> _Node | None:
        return self._inherited("keys", part)

    def _item(self, part: str | int) -> _Node | None:
        """A short form's list item that stands for a key: `- NAME` or `- NAME=value`."""
        if isinstance(part, int):
            return None
        items = (node for key, node in self.children.items() if isinstance(key, int))
        return next((node for node in items if node.text.partition("=")[0] == part), None)

    def _inherited(self, table: str, part: str | int) -> _Node | None:
        """Look in this mapping, then in those that `<<` (a mapping or a list of them) names."""
        waiting, seen = [self], {id(self)}
        while waiting:
            node = waiting.pop(0)
            found: _Node | None = getattr(node, table).get(part)
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
        self.roots: list[_Node] = []
        self._anchors: dict[str, _Node] = {}
        self._open: list[_Open] = []

    def feed(self, event: Any) -> None:
        kind = type(event)
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            self._open.pop()
        elif kind is AliasEvent:
            self._place(self._anchors.get(event.anchor) or _Node(event.start_mark), "")
        elif kind in (ScalarEvent, MappingStartEvent, SequenceStartEvent):
            text = getattr(event, "value", "")
            node = _Node(event.start_mark, text)
            node.plain = kind is ScalarEvent and event.implicit[0] and event.tag is None
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            self._place(node, text)
            if kind is not ScalarEvent:
                self._open.append(_Open(node, is_map=kind is MappingStartEvent))

    @property
    def depth(self) -> int:
        return len(self._open)

    def _place(self, node: _Node, text: str) -> None:
        if not self._open:
            self.roots.append(node)
        else:
            self._open[-1].take(node, text)


class _Open:
    """A mapping or sequence whose end has not been seen."""

    __slots__ = ("is_map", "key", "name", "node")

    def __init__(self, node: _Node, *, is_map: bool) -> None:
        self.node, self.is_map = node, is_map
        self.key: _Node | None = None
        self.name = ""

    def take(self, node: _Node, text: str) -> None:
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


def _index(data: bytes) -> list[_Node]:
    """The places of every value of a file's documents, as far as the text can be read."""
    indexer = _Indexer()
    parser: Any = CParser(data)
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
    """The files that a project was read from, in order, and who extends whom in them."""

    def __init__(self, cwd: str) -> None:
        self._cwd = cwd.rstrip("/") + "/"
        self._files: dict[str, bytes] = {}
        self._order: list[str] = []
        self._index: dict[str, list[_Node]] = {}
        self._bases: dict[str, list[tuple[str, str]]] = {}

    def add(self, file: str, data: bytes, *, searched: bool = True) -> None:
        """Remember a file's text; of those that are searched, one read later comes first."""
        self._files[file] = data
        if not searched:
            return
        if file in self._order:
            self._order.remove(file)
        self._order.append(file)

    def extends(self, service: str, base: str, file: str) -> None:
        """Note that part of `service` is written under `base` in `file`."""
        self._bases.setdefault(service, []).append((file, base))

    def digest(self) -> str:
        """The SHA-256 of all files, in their order, in hexadecimal digits."""
        from hashlib import sha256

        whole = sha256()
        for file in self._order:
            data = self._files[file]
            whole.update(b"%d\n" % len(data) + data)
        return whole.hexdigest()

    def relative(self, place: Place) -> Place:
        """The place as it is shown: files below the working folder by their relative path."""
        return place._replace(file=place.file.removeprefix(self._cwd))

    def find(self, path: Path, *, at_key: bool = False) -> Place | None:
        """Where `path` is written, or the closest of its parents that is."""
        best: tuple[int, Place] | None = None
        for file, candidate in self._candidates(path):
            found = self._deepest(file, candidate, at_key=at_key)
            if found is not None and (best is None or found[0] > best[0]):
                best = found
        return best[1] if best is not None else None

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
        for file in reversed(self._order):
            yield file, path
        if len(path) > 1 and path[0] == "services":
            seen = {str(path[1])}
            waiting = [str(path[1])]
            while waiting:
                for file, base in self._bases.get(waiting.pop(), ()):
                    if base not in seen:
                        seen.add(base)
                        waiting.append(base)
                    if file in self._files:
                        yield file, ("services", base, *path[2:])

    def _nodes(self, file: str) -> list[_Node]:
        if file not in self._index:
            self._index[file] = _index(self._files[file])
        return self._index[file]

    def scalars(self) -> Iterator[tuple[str, list[Scalar]]]:
        """Every scalar value of every file, as it is written."""
        for file in self._order:
            found: list[Scalar] = []
            waiting: list[tuple[Path, _Node]] = [((), root) for root in self._nodes(file)]
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
        data = self._files.get(place.file)
        if data is None:
            return ""
        lines = data.decode("utf-8", "replace").splitlines()
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


def _follow(root: _Node, path: Path, *, at_key: bool) -> tuple[int, _Node]:
    node = root
    for depth, part in enumerate(path):
        child = node.child(part)
        if child is None:
            return depth, node
        if at_key and depth == len(path) - 1:
            return depth + 1, node.key(part) or child
        node = child
    return len(path), node
