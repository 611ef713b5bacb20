"""Project quotas: how much a folder may hold, with all that is made below it.

XFS has them where it is mounted with `prjquota` (`pquota`), ext4 where it was made with the
features `project` and `quota` and is mounted so. A folder has a project's number, which what is
made in it inherits; the limit is the number's. A file system is named by a descriptor of a folder
of it, as its device may be out of reach.
Source: quotactl_fd(2), quotactl(2), linux/dqblk_xfs.h, linux/fs.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stackr.errors import NotSupported
from stackr.runtime.engine.linux.syscalls import quotactl_fd

__all__ = ["clear_quota", "limit_message", "parse_size", "set_quota"]

_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgtp]?i?b?)", re.ASCII | re.IGNORECASE)
_SCALES: Final = {"": 1, "b": 1, **{unit: 1 << 10 * n for n, unit in enumerate("kmgtp", 1)}}

_PRJQUOTA: Final = 2
_Q_XGETQUOTA, _Q_XSETQLIM = 0x5803, 0x5804
_FS_DQUOT_VERSION: Final = 1
_FS_PROJ_QUOTA: Final = 2
_FS_DQ_BSOFT, _FS_DQ_BHARD = 1 << 2, 1 << 3
_LIMIT: Final = struct.Struct("=bbHIQQQQQQiiHHbbbbQQQiHh8s")
"""struct fs_disk_quota; blocks are of 512 bytes."""
_BLOCK: Final = 512
_FS_IOC_FSGETXATTR, _FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820
_ATTRIBUTES: Final = struct.Struct("=IIIII8s")
"""struct fsxattr; the fourth is the project's number."""
_FS_XFLAG_PROJINHERIT: Final = 0x200
_FIRST, _LAST = 1 << 20, (1 << 31) - 1
"""Of the numbers that are chosen: others use small ones, as in projid(5)."""
_TRIES: Final = 100
_NONE: Final = (
    errno.EPERM,
    errno.ENOSYS,
    errno.ESRCH,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.ENOTBLK,
    errno.ENOENT,
)
"""What the kernel says where it has no such quotas, this file system has none, or we no say."""


def parse_size(text: str) -> int | None:
    """Bytes of "10G", "1.5GiB" or "512", as Docker reads them; None for what is no size."""
    match = _SIZE.fullmatch(text)
    size = int(float(match[1]) * _SCALES[match[2].lower()[:1]]) if match is not None else -1
    return size if 0 <= size < 1 << 63 else None


def limit_message(project: int, size_bytes: int) -> bytes:
    """The kernel's form of a limit; 0 bytes for none."""
    blocks = -(-size_bytes // _BLOCK)
    mask = _FS_DQ_BSOFT | _FS_DQ_BHARD
    head = (_FS_DQUOT_VERSION, _FS_PROJ_QUOTA, mask, project, blocks, blocks)
    return _LIMIT.pack(*head, *[0] * 18, b"")


def set_quota(folder: Path, size_bytes: int) -> None:
    """Let an empty folder hold no more than this. Raises NotSupported, OSError."""
    with _opened(folder) as fd:
        try:
            project = _free_project(fd)
            _call(_Q_XSETQLIM, fd, project, limit_message(project, size_bytes))
            try:
                _assign(fd, project)
            except BaseException:
                _call(_Q_XSETQLIM, fd, project, limit_message(project, 0))
                raise
        except OSError as error:
            if error.errno not in _NONE:
                raise
            raise NotSupported(
                f"size: the file system of {folder} has no project quotas",
                hint="XFS has them where it is mounted with prjquota, and ext4 with the features"
                " project and quota",
            ) from error


def clear_quota(folder: Path) -> None:
    """Give up a folder's limit, before it is deleted; one without a limit is left as it is."""
    try:
        with _opened(folder) as fd:
            project = _attributes(fd)[3]
            if _FIRST <= project <= _LAST:
                _call(_Q_XSETQLIM, fd, project, limit_message(project, 0))
    except OSError:
        return


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _free_project(fd: int) -> int:
    """A number by chance that nobody has a limit or anything in."""
    for _ in range(_TRIES):
        project = _FIRST + secrets.randbelow(_LAST - _FIRST)
        try:
            found = _LIMIT.unpack(_call(_Q_XGETQUOTA, fd, project, bytes(_LIMIT.size)))
        except OSError as error:
            if error.errno == errno.ENOENT:  # XFS: nobody has it
                return project
            raise
        hard, soft, held = found[4], found[5], found[8]
        if not (hard or soft or held):
            return project
    raise OSError(errno.EBUSY, "no project number is free")


def _call(command: int, fd: int, project: int, message: bytes) -> bytes:
    return quotactl_fd(fd, command << 8 | _PRJQUOTA, project, message)


def _attributes(fd: int) -> tuple[int, ...]:
    buffer = bytearray(_ATTRIBUTES.size)
    fcntl.ioctl(fd, _FS_IOC_FSGETXATTR, buffer)
    return _ATTRIBUTES.unpack(buffer)


def _assign(fd: int, project: int) -> None:
    flags, extent, extents, _, copied, rest = _attributes(fd)
    values = (flags | _FS_XFLAG_PROJINHERIT, extent, extents, project, copied, rest)
    fcntl.ioctl(fd, _FS_IOC_FSSETXATTR, _ATTRIBUTES.pack(*values))
