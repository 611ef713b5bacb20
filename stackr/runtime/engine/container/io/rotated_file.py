"""A file that is begun anew when it is full, and the ones before it: `log`, `log.1`, `log.2.gz` ...

Source: moby's loggerutils.LogFile.
"""

from __future__ import annotations

import gzip
import os
import shutil
from contextlib import suppress
from pathlib import Path

from stackr.runtime.engine.container.io.log_options import Rotation

__all__ = ["RotatedFile"]


class RotatedFile:
    """Opened for each use: containers are many, and most say nothing. Raises OSError."""

    def __init__(self, path: Path, rotation: Rotation) -> None:
        self.path = path
        self.rotation = rotation

    def files(self) -> list[Path]:
        """Those that there are, the oldest first."""
        found = [self.path] if self.path.exists() else []
        for number in range(1, self.rotation.files):
            for suffix in ("", ".gz"):
                older = self._numbered(number, suffix)
                if older.exists():
                    found.append(older)
                    break
        return found[::-1]

    def _numbered(self, number: int, suffix: str = "") -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{suffix}")

    def status(self) -> tuple[int, int]:
        """Inode and size of the current one; 0 where there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_size

    def truncate(self, size: int) -> None:
        os.truncate(self.path, size)

    def append(self, data: bytes) -> tuple[int, int]:
        """The inode and the size that it has then; nothing is left of what cannot be written."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, 0o640)
        try:
            before = os.fstat(fd)
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(fd, view) :]
            except OSError:
                os.ftruncate(fd, before.st_size)
                raise
            return before.st_ino, before.st_size + len(data)
        finally:
            os.close(fd)

    def is_full(self, size: int) -> bool:
        return 0 < self.rotation.max_bytes <= size

    def rotate(self) -> None:
        """Begin anew; the oldest goes. What is to be compressed may take a while."""
        files = self.rotation.files
        if files < 2:
            self.truncate(0)
            return
        for suffix in ("", ".gz"):
            self._numbered(files - 1, suffix).unlink(missing_ok=True)
        for number in range(files - 2, 0, -1):
            for suffix in ("", ".gz"):
                with suppress(FileNotFoundError):
                    self._numbered(number, suffix).rename(self._numbered(number + 1, suffix))
        self.path.rename(self._numbered(1))
        if self.rotation.is_compressed:
            self._compress(self._numbered(1))

    @staticmethod
    def _compress(path: Path) -> None:
        target = path.with_name(f"{path.name}.gz")
        partial = path.with_name(f"{path.name}.tmp")
        with path.open("rb") as plain, gzip.open(partial, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
        partial.rename(target)
        path.unlink()
