"""Folders that a build needs for a while."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["new_folder", "remove", "scratch_folder"]


def new_folder(root: Path) -> Path:
    """A folder of its own below `root`, which is made where it is missing; root's alone."""
    folder = root / secrets.token_hex(8)
    folder.mkdir(mode=0o700, parents=True)
    return folder


async def remove(folder: Path) -> None:
    """All of it, even where the build is cancelled meanwhile."""
    await asyncio.shield(asyncio.to_thread(remove_tree, folder))


@asynccontextmanager
async def scratch_folder(root: Path) -> AsyncIterator[Path]:
    """A new folder below `root` that goes with the block."""
    folder = new_folder(root)
    try:
        yield folder
    finally:
        await remove(folder)
