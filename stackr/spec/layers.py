"""Which files speak of a path, and which of them counts: overrides, extended services, includes.

A load notes who reads whom; nothing is worked out before somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from stackr.spec.rules import Path

FileVia: TypeAlias = Literal["file", "override", "extends", "include"]
"""How a file comes to speak of a path."""


class Layer(NamedTuple):
    """A place where a value may stand: `path` is its path in `file`.

    scope: the file of the project, or of an included one, on whose behalf `file` is read; its
    variables are those of the layer.
    """

    file: str
    path: Path
    via: FileVia
    scope: str


class Inclusion(NamedTuple):
    """A project that a file includes: its files, in order, and its env files."""

    files: tuple[str, ...]
    env_files: tuple[str, ...]


class Layers:
    """The files of one load. `main`: those of the project itself, in order."""

    def __init__(self) -> None:
        self.main: tuple[str, ...] = ()
        self._included: dict[str, list[Inclusion]] = {}
        self._includers: dict[str, tuple[str, Inclusion]] = {}
        self._bases: dict[tuple[str, str], tuple[str, str]] = {}
        self._resets: dict[str, tuple[Path, ...]] = {}

    def include(self, by: str, inclusion: Inclusion) -> None:
        """Note that the file `by` includes a project."""
        self._included.setdefault(by, []).append(inclusion)
        for file in inclusion.files:
            self._includers.setdefault(file, (by, inclusion))

    def extend(self, file: str, service: str, base_file: str, base: str) -> None:
        """Note that `service` of `file` is made from `base` of `base_file`."""
        self._bases[file, service] = base_file, base

    def reset(self, file: str, paths: Sequence[Path]) -> None:
        """Note what a file marks with `!reset` or `!override`."""
        self._resets[file] = tuple(paths)

    def is_reset(self, layer: Layer) -> bool:
        """Whether the file drops what layers after this one say of the path."""
        marked = self._resets.get(layer.file, ())
        return any(layer.path[: len(path)] == path for path in marked)

    def inclusions(self, file: str) -> list[tuple[str, Inclusion]]:
        """How the project of a file is included, from the inside out: by whom, and as what."""
        found: list[tuple[str, Inclusion]] = []
        while file in self._includers and self._includers[file] not in found:
            found.append(self._includers[file])
            file = found[-1][0]
        return found

    def of(self, path: Path) -> Iterator[Layer]:
        """Every layer of a path; what an earlier one says overrides the later ones."""
        yield from self._model(self.main, path, "file", frozenset())

    def _model(
        self, files: Sequence[str], path: Path, via: FileVia, entered: frozenset[str]
    ) -> Iterator[Layer]:
        for index in reversed(range(len(files))):
            file = files[index]
            how: FileVia = "override" if index and via == "file" else via
            yield from self._file(Layer(file, path, how, file))
            if file in entered:
                continue
            for inclusion in reversed(self._included.get(file, ())):
                yield from self._model(inclusion.files, path, "include", entered | {file})

    def _file(self, layer: Layer) -> Iterator[Layer]:
        """A file, then the services that one of its services is made from."""
        yield layer
        file, path, seen = layer.file, layer.path, {layer}
        while len(path) > 1 and path[0] == "services":
            base = self._bases.get((file, str(path[1])))
            if base is None:
                return
            file, path = base[0], ("services", base[1], *path[2:])
            next_layer = Layer(file, path, "extends", layer.scope)
            if next_layer in seen:
                return
            seen.add(next_layer)
            yield next_layer
