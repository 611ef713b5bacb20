"""Disks that have turned read-only: how to tell, and what can wait then."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_read_only", "suppress_read_only"]


def is_read_only(folder: Path) -> bool:
    """Whether nothing can be written there: so mounted, or after a failure of the disk, which a
    file system need not show in its flags.
    """
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return True
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


@contextmanager
def suppress_read_only() -> Iterator[None]:
    """For what a later time, or a later start, can do as well: the disk may be read-only."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
