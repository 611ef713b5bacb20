"""The first content of an empty volume, which comes from an image: all of it, or nothing.

It is copied beside the volume's folder and moved into it when it is whole. A crash leaves a copy
under one of two names: of one that is not whole, which is dropped, or of one whose move is finished
by the next start.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["fill", "recover"]

_COPYING = "_copying"
_MOVING = "_moving"


def fill(folder: Path, copy: Callable[[Path], bool]) -> None:
    """Let `copy` fill a folder, where it is empty. One caller a folder. Raises OSError.

    copy: False where there is nothing to copy, and the folder stays as it is.
    """
    if os.listdir(folder):
        return
    copying, moving = folder.with_name(_COPYING), folder.with_name(_MOVING)
    remove_tree(copying)
    copying.mkdir(mode=0o700)
    try:
        if copy(copying):
            copying.rename(moving)
    finally:
        remove_tree(copying)
    if moving.exists():
        _move(moving, folder)


def recover(folder: Path) -> None:
    """Finish or undo what an earlier process had begun."""
    remove_tree(folder.with_name(_COPYING))
    if (moving := folder.with_name(_MOVING)).exists():
        _move(moving, folder)


def _move(moving: Path, folder: Path) -> None:
    """What is there already, of a container that was quicker, stays as it is."""
    for name in os.listdir(moving):
        if not os.path.lexists(folder / name):
            os.rename(moving / name, folder / name)
    status = moving.stat()
    os.chown(folder, status.st_uid, status.st_gid)
    shutil.copystat(moving, folder)
    remove_tree(moving)
