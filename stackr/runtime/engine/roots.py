"""The folders of an engine, which nobody but root enters, lists or reads.

Volumes hold what containers' root users leave there, set-uid programs among it, and records,
bundles and logs hold secrets. All of it is reached through two folders, whose modes decide; what
lies directly in them is closed as well. Containers need no way through: their files are mounted.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path

__all__ = ["close_to_others", "make_folder", "make_root", "make_way"]

_log = logging.getLogger(__name__)

_OTHERS = 0o077
_OWN = (
    *("bundles", "containers", "content", "crun", "engine", "locks", "lost+found", "names"),
    *(
        "ports",
        "reserve",
        "runc",
        "snapshots",
        "stackr.sock",
        ".stackr.sock",
        "start.lock",
        "state",
    ),
    *("view", "volumes"),
)
"""How the names of all that an engine has in its roots begin."""


def make_root(folder: Path) -> None:
    """Make a folder of root's alone, and what is missing above it, whatever the umask.

    One that is there is taken, and closed. Raises OSError.
    """
    for parent in reversed(folder.parents):
        _make(parent, 0o755)
    _make(folder, 0o700)
    close_to_others(folder)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make one of the engine's own, with what is missing above it. Raises OSError.

    A file in its place, as a damaged disk may leave, is kept beside it; a symlink is followed: a
    folder may be on another disk.
    """
    for path in (*reversed(folder.parents), folder):
        if path.is_file() and not path.is_symlink():
            _set_aside(path)
        if not path.is_dir():
            if path.is_symlink():
                why = "a symlink that leads to no folder: its disk may not be mounted"
                raise FileExistsError(errno.EEXIST, why, os.fspath(path))
            path.mkdir(mode=mode if path == folder else 0o777, exist_ok=True)


def make_way(path: Path, is_right: Callable[[int], bool] = stat.S_ISREG) -> None:
    """Before one of the engine's own files is opened: what else is in its place, is kept beside it.

    A damaged disk leaves folders there, and symlinks that lead nowhere; one that leads to a file is
    followed. is_right: of its mode. Raises OSError.
    """
    try:
        if is_right(path.stat().st_mode):
            return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    _set_aside(path)


def _set_aside(path: Path) -> None:
    names = (f"{path.name}.damaged{number or ''}" for number in count())
    aside = next(a for name in names if not os.path.lexists(a := path.with_name(name)))
    path.rename(aside)
    _log.warning("%s: was something else: it is kept as %s", path, aside.name)


def _make(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    folder.chmod(mode)


def close_to_others(root: Path) -> None:
    """Leave nothing of the engine in one of its roots to anyone but root. Raises OSError.

    A root that holds more than an engine's files was somebody's before, and keeps its own mode.
    """
    names = os.listdir(root)
    foreign = [name for name in names if not name.startswith(_OWN)]
    for name in names:
        if name not in foreign:
            _close(root / name)
    if not foreign:
        _close(root)
    elif stat.S_IMODE(root.stat().st_mode) & _OTHERS:
        _log.warning('%s: not closed to other users, as it holds "%s", too', root, min(foreign))


def _close(path: Path) -> None:
    try:
        status = path.stat()
        if status.st_uid or status.st_gid:
            os.chown(path, 0, 0)
        if status.st_mode & _OTHERS:
            path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
    except OSError as error:  # a temporary name, or a broken symlink
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
