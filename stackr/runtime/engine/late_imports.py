"""What is large and seldom used: imported when it is first asked for, if it is still the same code.

A daemon runs on while its package is upgraded. Modules of two versions do not fit each other, so
what was not imported by then is refused until the daemon has been restarted.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import stackr
from stackr.errors import Conflict

__all__ = ["LateImports"]

_WITH = {
    "stackr.runtime.engine.build.service": (
        "stackr.runtime.engine.api.build_lines",
        "stackr.runtime.engine.api.build_request",
        "stackr.runtime.engine.build.event_json",
    )
}
"""What further calls of a part need, so that all of it is of one version."""


class LateImports:
    """Of the package as it is on the disk when this is made."""

    def __init__(self, package: Path = Path(stackr.__file__).parent) -> None:
        self._package = package
        self._begun = _digest(package)

    async def module(self, name: str) -> ModuleType:
        """In a thread, so that the loop goes on. Raises Conflict where the files are others now."""
        if (known := sys.modules.get(name)) is not None:
            return known
        if await asyncio.to_thread(_digest, self._package) != self._begun:
            raise Conflict(
                "engine: its program was changed after it started: "
                '"stackr engine restart" loads the new one, and containers go on'
            )
        for each in _WITH.get(name, ()):
            await asyncio.to_thread(importlib.import_module, each)
        return await asyncio.to_thread(importlib.import_module, name)


def _digest(package: Path) -> bytes:
    """Changes with every file: its path, its size, and when it was written."""
    found = []
    for folder, _, names in os.walk(package):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                state = os.stat(path)
                found.append((path, state.st_size, state.st_mtime_ns))
    return hashlib.sha256(repr(sorted(found)).encode()).digest()
