"""One run at a time for each project: commands of a user that change it wait for each other here.

The lock is a file that the kernel lets go of when the process ends, however it ends. It is named
after the engine's ID and the project, so that different projects never wait, and it does not matter
how the engine's address is spelled.
Source: flock(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

from stackr.errors import StackrError

__all__ = ["file_lock"]

_POLL_S = 0.05


@contextlib.asynccontextmanager
async def file_lock(
    engine: str,
    project: str,
    *,
    waiting: Callable[[str], object],
) -> AsyncIterator[None]:
    """Hold the project's lock; `waiting` hears, once, who holds it now.

    engine: its ID. Raises StackrError where no lock can be made.
    """
    path = _path(engine, project)
    descriptor = await _acquire(path, project, waiting)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _path(engine: str, project: str) -> Path:
    """The lock's file, in a folder of this user alone."""
    root = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or "")
    if root == Path(""):
        root = Path(gettempdir())
    mine = _made(root / f"stackr-locks-{os.geteuid()}")
    return mine / f"{sha256(engine.encode()).hexdigest()[:16]}-{project}.lock"


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise OSError(errno.EPERM, "it belongs to another user")
    except OSError as error:
        raise StackrError(f"cannot lock the project: {folder}: {error.strerror}") from error
    return folder


async def _acquire(path: Path, project: str, waiting: Callable[[str], object]) -> int:
    is_told = False
    while (descriptor := _try(path)) is None:
        if not is_told:
            waiting(_holder(path, project))
            is_told = True
        await asyncio.sleep(_POLL_S)
    return descriptor


def _try(path: Path) -> int | None:
    """The locked file's descriptor; None while another process holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StackrError(f"cannot lock the project: {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_current(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether the name still leads to this file: its last holder removes it."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(path: Path, project: str) -> str:
    try:
        pid = path.read_text().strip()
    except OSError:
        pid = ""
    who = f" (process {pid})" if pid.isdecimal() else ""
    return f'another command{who} is changing the project "{project}"'
