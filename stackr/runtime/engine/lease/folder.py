"""The folder that a lease is for: it is looked at from time to time, and its removal is an end.

inotify would tell at once, and nothing of a folder on a file system that others write to, too.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from stackr.errors import InvalidArgument
from stackr.runtime.folders import is_gone

__all__ = ["Folder", "check_folder", "removed"]

_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Folder:
    """As the caller sees it: the path, and the device's and the folder's own number."""

    path: str
    device: int
    inode: int


def check_folder(folder: Folder) -> None:
    """Raises InvalidArgument where the path is another folder here, or none: of a container's."""
    try:
        found = os.stat(folder.path)
    except (OSError, ValueError):
        found = None
    is_absolute = folder.path.startswith("/")
    if (
        not is_absolute
        or found is None
        or (found.st_dev, found.st_ino) != (folder.device, folder.inode)
    ):
        raise InvalidArgument(
            f"lease: folder: the engine does not see {folder.path} as the caller does"
        )


async def removed(path: str, device: int) -> str:
    """Return once it is gone, seen twice; why the lease ends. device: where it was."""
    misses = 0
    while misses < 2:
        await asyncio.sleep(_LOOK_S)
        misses = misses + 1 if await asyncio.to_thread(is_gone, path, device) else 0
    return f"its folder {path} is gone"
