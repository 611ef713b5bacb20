"""Whether the code that a process has imported is still the one that is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterable

import stackr

__all__ = ["CodeState"]

_State = tuple[int, int]
"""When it was changed, in nanoseconds, and its size in bytes."""


class CodeState:
    """Any file of stackr, any installed package, and the interpreter, as they were found.

    A caller waits for the answer. So what is in a folder is read again only where the folder has
    changed; else to look at the files by name tells as much, and takes half the time.
    """

    def __init__(self, package: str = os.path.dirname(stackr.__file__)) -> None:
        self._package = package
        self._folders, self._files = _found(package)
        self._names = self._files.keys()

    def keep(self, imported: Container[str]) -> None:
        """Look, of the package's files, at these alone from now on.

        What has not been imported is read when it is needed, as it is then.
        """
        within = f"{self._package}{os.sep}"
        self._files = {
            path: state
            for path, state in self._files.items()
            if path in imported or not path.startswith(within)
        }

    def is_current(self) -> bool:
        """Whether all of it is still the same."""
        if _states(self._folders) != self._folders:
            try:
                folders, files = _found(self._package)
            except OSError:
                return False
            if files.keys() != self._names:
                return False
            self._folders = folders  # bytecode was written, or something that is none of ours
        return _states(self._files) == self._files


def _found(package: str) -> tuple[dict[str, _State], dict[str, _State]]:
    """The folders and all files that count; a folder is looked at before it is read."""
    packages = (path for path in sys.path if path.endswith("-packages"))
    folders: dict[str, _State] = {}
    files = _states([sys.executable, *packages])
    pending = [package]
    while pending:
        folder = pending.pop()
        folders[folder] = _state(folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    files[entry.path] = _state(entry.path)
                elif entry.is_dir() and entry.name != "__pycache__":
                    pending.append(entry.path)
    return folders, files


def _states(paths: Iterable[str]) -> dict[str, _State]:
    return {path: _state(path) for path in paths}


def _state(path: str) -> _State:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
