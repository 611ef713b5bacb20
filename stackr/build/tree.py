"""What a build reads: the files of a context by path, with the digest of each; pure.

A path is relative, with slashes and without `.` and `..`; the root itself is "". Symlinks are
followed within the tree, as chroot would.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from stackr.build.errors import DockerfileError

__all__ = ["File", "Tree", "follow", "parents_of"]

_MOST_LINKS = 40  # as the kernel


@dataclass(frozen=True, slots=True)
class File:
    """mode: as stat(2) has it. digest: SHA-256 of a regular file, a symlink's target, or ""."""

    mode: int
    digest: str = ""
    size: int = 0

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


def parents_of(path: str) -> Iterator[str]:
    """`a/b/c` -> `a/b`, `a`."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


@dataclass(frozen=True, slots=True)
class Tree:
    """files: without the root. children: names in each folder, sorted; made from `files`."""

    files: Mapping[str, File]
    children: Mapping[str, list[str]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, files: Mapping[str, File]) -> Tree:
        children: dict[str, list[str]] = {"": []}
        for path in sorted(files):
            parent, _, name = path.rpartition("/")
            children.setdefault(parent, []).append(name)
        return cls(files, children)

    def resolve(self, path: str) -> str | None:
        """Where a path leads; see `follow`."""
        return follow(path, self.files.get)

    def below(self, folder: str) -> Iterator[str]:
        """Every path below a folder, each folder before what is in it, sorted."""
        pending = [iter(self.children.get(folder, ()))]
        prefixes = [f"{folder}/" if folder else ""]
        while pending:
            name = next(pending[-1], None)
            if name is None:
                pending.pop()
                prefixes.pop()
                continue
            path = prefixes[-1] + name
            yield path
            if path in self.children:
                pending.append(iter(self.children[path]))
                prefixes.append(f"{path}/")

    def is_folder(self, path: str) -> bool:
        return not path or (path in self.files and self.files[path].is_folder)

    def without(self, paths: Iterable[str]) -> Tree:
        """The same tree, as though those had never been in it."""
        gone = set(paths)
        return Tree.of({path: file for path, file in self.files.items() if path not in gone})


def follow(path: str, look: Callable[[str], File | None]) -> str | None:
    """Where a path leads, through symlinks beneath the root; None where nothing is.

    look: what is at a path without symlinks. Raises DockerfileError for a loop.
    """
    done: list[str] = []
    rest = _reversed_parts(path)
    links = 0
    while rest:
        part = rest.pop()
        if part == "..":
            del done[-1:]
            continue
        found = look("/".join((*done, part)))
        if found is None:
            return None
        if not found.is_link:
            if rest and not found.is_folder:
                return None
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise DockerfileError(f"{path}: too many levels of symbolic links")
        if found.digest.startswith("/"):
            done.clear()
        rest += _reversed_parts(found.digest)
    return "/".join(done)


def _reversed_parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
