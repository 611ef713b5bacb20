"""The program that becomes process 1 where `init` is asked for: one of the host's.

It is mounted into the container, whose image may have another C library or none, so that one that
is linked dynamically would not start there. Source: elf(5).
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

from stackr.errors import InvalidArgument

__all__ = ["find_init", "is_static"]

_PROGRAMS = ("docker-init", "tini-static", "tini", "catatonit")
_SEARCH = (
    "/usr/libexec/docker:/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/usr/libexec/podman"
)
_HEADER_BYTES = 64
_PT_INTERP = 3


def find_init(programs: Sequence[str] = _PROGRAMS, search: str = _SEARCH, *, own: str = "") -> str:
    """The path of the first of `programs` that is statically linked. own: this one, and no other.

    Raises InvalidArgument where there is none, and names those that are not.
    """
    programs = (own,) if own else programs
    found = [path for name in programs if (path := shutil.which(name, path=search))]
    for path in found:
        if is_static(Path(path)):
            return path
    if found:
        raise InvalidArgument(
            f"HostConfig.Init: {found[0]}: is linked dynamically, and cannot run in every image",
            hint="install tini-static, which the package tini has",
        )
    raise InvalidArgument(
        "HostConfig.Init: no init program found: " + ", ".join(programs),
        hint="install the package tini, which has tini-static",
    )


def is_static(path: Path) -> bool:
    """Whether it is an ELF program that no dynamic linker has to load."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES or not header.startswith(b"\x7fELF"):
                return False
            order = "<" if header[5] == 1 else ">"
            table_at, sizes_at = (("Q", 32), 54) if header[4] == 2 else (("I", 28), 42)
            (offset,) = struct.unpack_from(order + table_at[0], header, table_at[1])
            size, count = struct.unpack_from(order + "HH", header, sizes_at)
            file.seek(offset)
            table = file.read(size * count)
    except OSError:
        return False
    entries = range(0, len(table) - 3, size or 1)
    return all(struct.unpack_from(order + "I", table, at)[0] != _PT_INTERP for at in entries)
