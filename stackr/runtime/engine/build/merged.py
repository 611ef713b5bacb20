"""The files of layers as one tree, looked at by path and without mounting anything.

Layers are never written to once they are there, and only root gets at them: what has been seen to
be a folder stays one, and a path below it leads nowhere else. Source: overlayfs, "whiteouts and
opaque directories".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stackr.build.tree import File, Tree, follow
from stackr.build.wildcard import is_pattern
from stackr.runtime.engine.build.files import Found, inode_of
from stackr.runtime.engine.build.packing import xattrs_of

__all__ = ["MergedFiles"]

_OPAQUE = "trusted.overlay.opaque"


@dataclass(slots=True)
class _Node:
    """Where something is: its topmost place, and of a folder those that merge, topmost first."""

    place: str
    status: os.stat_result
    folders: list[str] = field(default_factory=list)
    names: dict[str, list[str]] | None = None


class MergedFiles:
    """layers: directories, topmost first. Blocking; looks up what is asked for, and keeps it."""

    def __init__(self, layers: Sequence[Path]) -> None:
        top = [str(layer) for layer in layers]
        self._nodes: dict[str, _Node | None] = {}
        if top:
            self._nodes[""] = _Node(top[0], os.lstat(top[0]), top)

    def find(self, path: str) -> Found | None:
        """A path's file on the host; the path has no symlink."""
        node = self._node(path)
        if node is None:
            return None
        status = node.status
        return Found(
            status.st_mode,
            status.st_mtime_ns,
            node.place,
            0,
            status.st_size,
            os.readlink(node.place) if stat.S_ISLNK(status.st_mode) else "",
            (status.st_uid, status.st_gid),
            xattrs_of(node.place),
            inode_of(status),
        )

    def tree(self, patterns: Iterable[str]) -> Tree:
        """What these patterns can mean: every file that they lead to or through, and below."""
        files: dict[str, File] = {}
        for pattern in patterns:
            fixed = []
            for part in pattern.split("/"):
                if is_pattern(part):
                    break
                fixed.append(part)
            real = self._follow("/".join(fixed), files)
            if real is not None:
                self._add_below(real, files)
        return Tree.of(files)

    def _follow(self, path: str, files: dict[str, File]) -> str | None:
        """Resolve a path as `Tree.resolve` will, and note what is on the way."""

        def look(here: str) -> File | None:
            node = self._node(here)
            if node is None:
                return None
            files[here] = found = _file(node)
            return found

        return follow(path, look)

    def _add_below(self, path: str, files: dict[str, File]) -> None:
        pending = [path]
        while pending:
            here = pending.pop()
            node = self._node(here)
            if node is None or not node.folders:
                continue
            for name in self._names(node):
                below = f"{here}/{name}" if here else name
                child = self._node(below)
                if child is not None:
                    files[below] = _file(child)
                    pending.append(below)

    def _node(self, path: str) -> _Node | None:
        if path not in self._nodes:
            parent, _, name = path.rpartition("/")
            above = self._node(parent)
            self._nodes[path] = self._child(above, name) if above is not None else None
        return self._nodes[path]

    def _child(self, above: _Node, name: str) -> _Node | None:
        found: _Node | None = None
        for folder in self._names(above).get(name, ()):
            place = f"{folder}/{name}"
            status = os.lstat(place)
            is_folder = stat.S_ISDIR(status.st_mode)
            if found is None:
                if stat.S_ISCHR(status.st_mode) and not status.st_rdev:
                    return None
                found = _Node(place, status)
            elif not is_folder:
                break
            if not is_folder:
                break
            found.folders.append(place)
            if _is_opaque(place):
                break
        return found

    @staticmethod
    def _names(node: _Node) -> dict[str, list[str]]:
        """Every name in a folder, with the parts of the folder that have it."""
        if node.names is None:
            node.names = {}
            for folder in node.folders:
                for name in os.listdir(folder):
                    node.names.setdefault(name, []).append(folder)
        return node.names


def _file(node: _Node) -> File:
    if stat.S_ISLNK(node.status.st_mode):
        return File(node.status.st_mode, os.readlink(node.place))
    return File(node.status.st_mode, "", node.status.st_size)


def _is_opaque(place: str) -> bool:
    try:
        return os.getxattr(place, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
