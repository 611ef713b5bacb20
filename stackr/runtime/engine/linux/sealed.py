"""Programs that are started from a copy in memory, which nobody can write to.

An OCI runtime enters a container, whose processes could write to its file by /proc/PID/exe. So crun
and runc make such a copy at each start, and start themselves again from it, which takes as long as
all the rest; a copy that they find sealed they leave at that.
Source: CVE-2019-5736; memfd_create(2); opencontainers/runc, libcontainer/nsenter/cloned_binary.c.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

_MOST_BYTES = 2 << 20
"""runc has some 13 MB, which are too many to hold for the moment that they save."""
_MFD_EXEC = 0x10  # Linux 6.3: the opposite may be the host's usual
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
FIRST_SPARE_FD = 32
"""Programs are given descriptors below."""
_ELF = b"\x7fELF"

_Version = tuple[int, ...]


class SealedPrograms:
    """The copies, each made at first use and again once the file is another."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Version, int | str]] = {}

    def find(self, path: str) -> int | str:
        """What execve(2) takes: a descriptor; the path itself where there can be no copy."""
        try:
            found = os.stat(path)
        except OSError:
            return path
        version = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        known, program = self._known.get(path, ((), path))
        if known != version:
            if isinstance(program, int):
                os.close(program)
            program = _sealed_copy(path)
            self._known[path] = (version, program)
        return program


def _sealed_copy(path: str) -> int | str:
    """The path for a file that is no program by itself, or a large one, and where it fails."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES or not content.startswith(_ELF):
            return path
        with open(_memory_file(os.path.basename(path)), "wb") as copy:
            copy.write(content)
            copy.flush()
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
            return fcntl.fcntl(copy, fcntl.F_DUPFD_CLOEXEC, FIRST_SPARE_FD)
    except OSError:
        return path


def _memory_file(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    with suppress(OSError):
        return os.memfd_create(name, flags | _MFD_EXEC)
    return os.memfd_create(name, flags)
