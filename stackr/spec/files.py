"""Where a load reads from: one small protocol, and the host's file system behind it.

Nothing else of `spec` touches a file, so that another implementation can serve a revision of a
repository instead. Paths are absolute.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from typing import Protocol

__all__ = ["HOST", "MOST_CONTENT", "STDIN", "Files", "HostFiles", "Metered"]

STDIN = "-"
SILENCE_S = 0.5
"""How long a named pipe or a terminal may say nothing."""
MOST_CONTENT = 64 << 20
"""How much is read of a config or secret."""
MAX_TOTAL_BYTES = 64 << 20
"""What a load may read, in all."""
_CHUNK = 1 << 16
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Files(Protocol):
    """What a load asks of a file system; a symbolic link stands for what it points to."""

    def read(self, path: str, most: int) -> bytes:
        """The first `most` bytes of a file. Raises OSError as `open` does."""
        ...

    def read_file(self, path: str, most: int) -> bytes | None:
        """What is in a regular file of at most so many bytes; None for anything else."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is anything under this name."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder."""
        ...

    def names(self, path: str) -> list[str]:
        """What is in a folder, in no order; [] for one that cannot be read."""
        ...

    def real(self, path: str) -> str:
        """The same path without symbolic links; of what does not exist, as far as it does."""
        ...


class HostFiles:
    """The file system of this machine; `-` is standard input.

    Devices and named pipes are read too, but nothing is waited for: who opens a pipe that no
    process writes to gets an error.
    """

    def read(self, path: str, most: int) -> bytes:
        if path == STDIN:
            return sys.stdin.buffer.read(most)
        try:
            descriptor = os.open(path, _OPEN)
        except ValueError as error:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path) from error
        try:
            return _read(descriptor, path, most)
        finally:
            os.close(descriptor)

    def read_file(self, path: str, most: int) -> bytes | None:
        try:
            descriptor = os.open(path, _OPEN)
        except (OSError, ValueError):
            return None
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode) or state.st_size > most:
                return None
            content = _read(descriptor, path, most + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return content if len(content) <= most else None

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def names(self, path: str) -> list[str]:
        try:
            return os.listdir(path)
        except OSError:
            return []

    def real(self, path: str) -> str:
        return os.path.realpath(path)


HOST = HostFiles()


class Metered:
    """Files of which a load may read so much and no more, all of them together."""

    def __init__(self, files: Files) -> None:
        self.unmetered = files
        self._left = MAX_TOTAL_BYTES
        self.exists, self.is_folder, self.real = files.exists, files.is_folder, files.real
        self.read_file, self.names = files.read_file, files.names

    def read(self, path: str, most: int) -> bytes:
        data = self.unmetered.read(path, most)
        self._left -= len(data)
        if self._left < 0:
            reason = f"the project's files have more than {MAX_TOTAL_BYTES >> 20} MiB together"
            raise OSError(errno.EFBIG, reason, path)
        return data


def _read(descriptor: int, path: str, most: int) -> bytes:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        # The shell's <(command) is a pipe without a name: its other end is there, and may think.
        is_named = not path.startswith(("/dev/fd/", "/proc/self/fd/", "/dev/stdin"))
        _await_data(descriptor, path, SILENCE_S if is_named else None)
        os.set_blocking(descriptor, not is_named)
    chunks: list[bytes] = []
    while most > 0:
        try:
            chunk = os.read(descriptor, min(most, _CHUNK))
        except BlockingIOError:
            _await_data(descriptor, path, SILENCE_S)
            continue
        if not chunk:
            break
        chunks.append(chunk)
        most -= len(chunk)
    return b"".join(chunks)


def _await_data(descriptor: int, path: str, timeout_s: float | None) -> None:
    """Wait until there is something to read, or an end that another process has made."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(timeout_s * 1000 if timeout_s is not None else None):
        raise TimeoutError(errno.ETIMEDOUT, "nothing is written to it", path)
