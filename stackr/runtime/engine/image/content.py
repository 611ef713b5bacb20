"""Blobs by digest: ingest, verify, commit, read, delete.

    blobs/sha256/<hex>      complete and verified, read-only
    ingest/sha256-<hex>     what has arrived so far; a crash leaves it, and the next pull goes on
    ingest/archive-<random> an archive of images while it is loaded; gone with the next start

What a pull that broke off leaves is kept for an hour, for the next one to go on with.

A blob is fsynced and renamed into place when its digest is right, and never changes after that.
Every method blocks; the caller runs those that read or write content in a thread.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import Final

from stackr.errors import Internal, InvalidArgument, NotFound
from stackr.registry.digest import DigestMismatch, digest_of, is_digest
from stackr.runtime.engine.disk import suppress_read_only
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.roots import make_folder

__all__ = ["KEPT_S", "ContentStore", "Ingest"]

_CHUNK: Final = 1 << 20
_PARTIAL: Final = "sha256-"
_ARCHIVE: Final = "archive-"
_CLOCK_S: Final = 60.0
KEPT_S: Final = 3600.0


class ContentStore:
    """The blobs below one folder."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingests = root / "ingest"

    def open(self) -> None:
        """Make the folders, and drop what nobody can go on with."""
        make_folder(self._blobs)
        make_folder(self._ingests)
        with suppress_read_only():
            self._ingests.parent.chmod(0o700)
            for name in os.listdir(self._ingests):
                if name.startswith(_ARCHIVE):
                    remove_tree(self._ingests / name)
                elif not name.startswith(_PARTIAL):
                    (self._ingests / name).unlink()

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be. Raises InvalidArgument for what is no sha256 digest."""
        if not is_digest(digest):
            raise InvalidArgument(f'blob "{digest}": not a sha256 digest')
        return self._blobs / digest.partition(":")[2]

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def size(self, digest: str) -> int:
        """In bytes. Raises NotFound."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"blob {digest}: not found") from None

    def read(self, digest: str) -> bytes:
        """The whole blob, verified: for manifests and configurations. Raises NotFound, Internal."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"blob {digest}: not found") from None
        if digest_of(data) != digest:
            raise Internal(f"blob {digest}: damaged on disk: it is now {digest_of(data)}")
        return data

    def write(self, data: bytes, *, digest: str) -> None:
        """Ingest a small blob at once; concurrent calls are fine. Raises DigestMismatch."""
        final = self.path(digest)
        if digest_of(data) != digest:
            raise DigestMismatch(f"blob {digest}: digest mismatch: got {digest_of(data)}")
        if final.exists():
            return
        fd, partial = tempfile.mkstemp(prefix="write-", dir=self._ingests)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                _publish(fd, Path(partial), final)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def begin(self) -> tuple[int, Path]:
        """A file for a blob whose digest is not known yet, for `publish`; the caller closes it."""
        fd, path = tempfile.mkstemp(prefix="write-", dir=self._ingests)
        return fd, Path(path)

    def begin_folder(self) -> Path:
        """An empty folder for files that may become blobs by `adopt`; the caller removes it."""
        return Path(tempfile.mkdtemp(prefix=_ARCHIVE, dir=self._ingests))

    def adopt(self, path: Path, *, digest: str) -> None:
        """Keep a file of such a folder, which has been hashed; it is not there any more."""
        final = self.path(digest)
        if final.exists():
            return
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _publish(fd, path, final)
        finally:
            os.close(fd)

    def publish(self, fd: int, path: Path, *, digest: str) -> None:
        """Keep what was written to the file of `begin`, whose writer has hashed it."""
        final = self.path(digest)
        if not final.exists():
            _publish(fd, path, final)

    def ingest(self, digest: str) -> Ingest:
        """Open the partial blob that is there, or start one; the caller closes it."""
        final = self.path(digest)
        return Ingest(self._ingests / f"{_PARTIAL}{final.name}", final, digest)

    def withdraw(self, digests: Iterable[str]) -> list[Path]:
        """Take blobs, and what there is of partial ones, out of the store at once, for the caller
        to unlink: that may take longer. A crash leaves it to the next `open`.
        """
        withdrawn: list[Path] = []
        for digest in digests:
            for number, path in enumerate(self._places(digest)):
                aside = self._ingests / f"withdrawn-{number}-{path.name}"
                with suppress(FileNotFoundError):
                    os.rename(path, aside)
                    withdrawn.append(aside)
        return withdrawn

    def _places(self, digest: str) -> tuple[Path, Path]:
        """Where it is, whole and in part."""
        final = self.path(digest)
        return final, self._ingests / f"{_PARTIAL}{final.name}"

    def abandoned(self, needed: Set[str], *, kept_s: float = KEPT_S) -> list[str]:
        """The digests of blobs, whole or in part, that are not `needed` and that no pull has
        touched for `kept_s`. Files of the future (a clock that was put back) count as old.
        """
        now = time.time()
        partial = [n.removeprefix(_PARTIAL) for n in os.listdir(self._ingests)]
        found = {*self.digests(), *(f"sha256:{name}" for name in partial if len(name) == 64)}
        return [
            digest
            for digest in found - needed
            if not any(now - kept_s <= at <= now + _CLOCK_S for at in self._touched(digest))
        ]

    def _touched(self, digest: str) -> Iterator[float]:
        for path in self._places(digest):
            with suppress(FileNotFoundError):
                yield path.stat().st_mtime

    def digests(self) -> list[str]:
        """Every complete blob."""
        return [f"sha256:{name}" for name in os.listdir(self._blobs)]


class Ingest:
    """One blob while it arrives: `offset` bytes are there and hashed. One writer at a time."""

    def __init__(self, partial: Path, final: Path, digest: str) -> None:
        self._partial = partial
        self._final = final
        self._digest = digest
        self._sha256 = hashlib.sha256()
        self._fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.offset = 0

    def resume(self) -> None:
        """Hash what an earlier ingest has left; to be called first, or `restart` is."""
        while chunk := os.read(self._fd, _CHUNK):
            self._sha256.update(chunk)
            self.offset += len(chunk)

    def write(self, data: bytes | bytearray) -> None:
        """Append and hash. Raises OSError, as for a full disk, whose room is given back."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self._partial.unlink(missing_ok=True)
            raise
        self._sha256.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        """Forget what has arrived."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._sha256 = hashlib.sha256()
        self.offset = 0

    def commit(self) -> None:
        """Verify and keep the blob. Raises DigestMismatch, after which nothing of it is left."""
        got = f"sha256:{self._sha256.hexdigest()}"
        if got != self._digest:
            self._partial.unlink(missing_ok=True)
            raise DigestMismatch(
                f"blob {self._digest}: digest mismatch: got {got} in {self.offset} bytes"
            )
        _publish(self._fd, self._partial, self._final)

    def close(self) -> None:
        """Leave what has arrived for a later ingest of the same digest."""
        os.close(self._fd)


def _publish(fd: int, partial: Path, final: Path) -> None:
    """Rename a complete file into place once it is on the disk, and make that last too."""
    os.fsync(fd)
    os.fchmod(fd, 0o400)
    os.rename(partial, final)
    folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
