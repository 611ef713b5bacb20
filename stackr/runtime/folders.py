"""Whether a folder is gone for good, or only not to be seen: its file system may not be mounted."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_gone", "seen_at", "was_removed"]


def seen_at(folder: str) -> str:
    """Where it is, for later: the host's name and the number of the device; "" where it is not."""
    try:
        return f"{os.uname().nodename} {os.stat(folder).st_dev}"
    except OSError:
        return ""


def was_removed(folder: str, seen: str) -> bool:
    """Whether it was there, by `seen_at`, and is gone. Of another host's, nothing is known."""
    host, _, device = seen.rpartition(" ")
    return (
        host == os.uname().nodename and device.isdecimal() and is_gone(folder, device=int(device))
    )


def is_gone(folder: str, device: int | None = None) -> bool:
    """Whether it was removed. device: where it was; None where that is not known.

    Of one that cannot be looked at, nothing is known; nor where what is left of its path is on
    another device.
    """
    try:
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return device is None or _nearest_device(folder) == device
    except OSError:
        return False
    return False


def _nearest_device(folder: str) -> int | None:
    for above in Path(folder).parents:
        try:
            return above.stat().st_dev
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None
