"""The permissions of a tmpfs: those of the folder that it covers, unless `mode` says otherwise.

So is /root nobody's but root's, and /run/sshd, though a tmpfs is there. crun 1.8 opens them to all;
runc 1.1.5 takes those of the folder over `mode`, and of a folder that it has made itself at the
container's first start. The owner is root, unless `uid` says otherwise.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Mapping, Sequence

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.records.record import MountPoint
from stackr.runtime.engine.linux.subpath import open_subpath
from stackr.runtime.engine.linux.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, open_at

__all__ = ["given_mode", "innermost", "set_modes", "stat_below", "tmpfs_mode"]

_OPEN_TO_ALL = 0o1777
_MODE = "mode="
_INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


def given_mode(mount: MountPoint) -> int | None:
    """What the options of a tmpfs say; None where they do not. Raises InvalidArgument."""
    for option in reversed(mount.options):
        if option.startswith(_MODE):
            try:
                return int(option.removeprefix(_MODE), 8)
            except ValueError:
                raise InvalidArgument(f'invalid tmpfs option "{option}"') from None
    return None


def tmpfs_mode(covered: os.stat_result | None) -> int:
    """covered: what is at its place already; None where nothing is."""
    if covered is None or not stat.S_ISDIR(covered.st_mode):
        return _OPEN_TO_ALL
    return stat.S_IMODE(covered.st_mode)


def innermost(mounts: Sequence[MountPoint], target: str) -> MountPoint | None:
    """The mount in which a path is that something is mounted at; None for the root."""
    around = [each for each in mounts if target.startswith(f"{each.destination}/")]
    return max(around, key=lambda each: len(each.destination), default=None)


def stat_below(source: str, mount: MountPoint, target: str) -> os.stat_result | None:
    """What a bind or volume has at a path of the container; None where there is nothing, and for
    other mounts. source: its path on the host.
    """
    if mount.type not in ("bind", "volume"):
        return None
    rest = posixpath.relpath(target, mount.destination)
    try:
        root = open_subpath(source, mount.subpath, os.O_PATH)
    except OSError:
        return None
    try:
        place = open_at(root, os.fsencode(rest), os.O_PATH, resolve=_INSIDE)
    except OSError:
        return None
    finally:
        os.close(root)
    try:
        return os.fstat(place)
    finally:
        os.close(place)


def set_modes(modes: Mapping[str, int], pid: int) -> None:
    """Mend what the OCI runtime has made of the modes, before the program begins.

    modes: by a tmpfs's place in the container. pid: of its first process. Raises OSError.
    """
    if not modes:
        return
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for target, mode in modes.items():
            place = open_at(root, os.fsencode(target), os.O_PATH | os.O_DIRECTORY, resolve=_INSIDE)
            try:
                if stat.S_IMODE(os.fstat(place).st_mode) != mode:
                    os.chmod(f"/proc/self/fd/{place}", mode)
            finally:
                os.close(place)
    finally:
        os.close(root)
