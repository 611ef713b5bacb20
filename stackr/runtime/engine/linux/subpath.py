"""A path below a folder whose content belongs to somebody else, opened once and never followed out.

What was opened stays what it is, whatever a container puts at its path meanwhile. Source:
openat2(2), `RESOLVE_BENEATH`; the texts are Docker's.
"""

from __future__ import annotations

import errno
import os

from stackr.runtime.engine.linux.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    open_at,
)

__all__ = ["open_subpath", "subpath_failure"]

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def open_subpath(root: str | os.PathLike[str], subpath: str, flags: int) -> int:
    """A descriptor of what is at `subpath`, "" for the root itself; symlinks must stay inside.

    root: a path of the host, whose own symlinks are followed. Raises OSError.
    """
    base = os.open(root, _FOLDER)
    try:
        beneath = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
        return open_at(base, os.fsencode(subpath or "."), flags, resolve=beneath)
    finally:
        os.close(base)


def subpath_failure(root: str, subpath: str, number: int) -> str:
    """What an error of `open_subpath` means. number: its errno."""
    if number == errno.EXDEV:
        return f"path concatenation escapes the base directory, base: {root}, subpath: {subpath}"
    return f"cannot access path {os.path.join(root, subpath)}: {os.strerror(number).lower()}"
