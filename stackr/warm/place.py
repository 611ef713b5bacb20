"""Where the warm server of a user listens, and for which interpreter and settings.

One server serves callers that would have started Python in the same way: the same interpreter, the
same installation of stackr, the same variables that Python itself reads at its start.
"""

from __future__ import annotations

import os
import stat
import sys

__all__ = ["folder", "is_ours_alone", "key", "ready_folder", "settings", "socket_path"]

_NAME = "stackr-warm"
_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE")
_PRIME = (1 << 61) - 1


def key() -> tuple[str, ...]:
    """What tells one server from another; equal for those that may share one."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (
        sys.executable,
        sys.version,
        sys.prefix,
        package,
        *(f"{name}={value}" for name, value in sorted(settings().items())),
    )


def settings() -> dict[str, str]:
    """The variables that Python reads at its start."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PYTHON") or name in _LOCALE
    }


def folder() -> str:
    """The folder of the user's servers; it may not be there, nor be possible."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if not base or not os.path.isabs(base):
        base = "/run" if os.geteuid() == 0 else f"/run/user/{os.geteuid()}"
    return f"{base}/{_NAME}"


def ready_folder() -> str | None:
    """The folder, made where it is missing; None where it cannot be, or is not ours alone."""
    path = folder()
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return None
    return path if is_ours_alone(path) else None


def is_ours_alone(path: str) -> bool:
    """Whether nobody else could have put a socket there."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    )


def socket_path() -> str:
    """Where the server for this process's key listens.

    The key as one number modulo a prime: a name that keys will hardly share, without an import.
    """
    number = int.from_bytes(repr(key()).encode(errors="surrogateescape"), "big")
    return f"{folder()}/{number % _PRIME:016x}.sock"
