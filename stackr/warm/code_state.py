"""Whether the code that a process has imported is still the one that is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import stackr

__all__ = ["code_state"]

CodeState = int


def code_state() -> CodeState:
    """A number that changes with any file of stackr, any installed package, and the interpreter."""
    return hash(tuple(_facts()))


def _facts() -> Iterator[tuple[str, int, int]]:
    yield _fact(sys.executable)
    for path in sys.path:
        if path.endswith("-packages"):
            yield _fact(path)
    pending = [os.path.dirname(stackr.__file__)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    state = entry.stat()
                    yield entry.path, state.st_mtime_ns, state.st_size
                elif entry.is_dir() and entry.name != "__pycache__":
                    pending.append(entry.path)


def _fact(path: str) -> tuple[str, int, int]:
    try:
        state = os.stat(path)
    except OSError:
        return path, 0, 0
    return path, state.st_mtime_ns, state.st_size
