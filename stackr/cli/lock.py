"""One run at a time for each project: commands that change it wait for each other on this host.

The lock is a file that the kernel lets go of when the process ends, however it ends. It is named
after the engine and the project, so that different projects never wait.
Source: flock(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from stackr.errors import DeadlineExceeded, StackrError

__all__ = ["project_lock"]

_POLL_S = 0.05


@contextlib.asynccontextmanager
async def project_lock(
    engine: str,
    project: str,
    *,
    waiting: Callable[[str], object],
    timeout_s: float | None = None,
) -> AsyncIterator[None]:
    """Hold the project's lock; `waiting` hears, once, who holds it now.

    engine: as `--engine` names it. Raises DeadlineExceeded after `timeout_s`, StackrError where no
    lock can be made.
    """
    path = _path(engine, project)
    descriptor = await _acquire(path, project, waiting, timeout_s)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _path(engine: str, project: str) -> Path:
    """The lock's file: in a folder of the engine itself, or else of this user alone."""
    if engine == "embedded":
        from stackr.runtime.engine.config import EngineConfig

        root = EngineConfig.from_environment().exec_root
        return _made(root / "locks", within=root) / f"{project}.lock"
    from hashlib import sha256

    root = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or "")
    if root == Path(""):
        from tempfile import gettempdir

        root = Path(gettempdir())
    mine = _made(root / f"stackr-locks-{os.geteuid()}")
    return mine / f"{sha256(engine.encode()).hexdigest()[:16]}-{project}.lock"


def _made(folder: Path, *, within: Path | None = None) -> Path:
    """within: an engine's folder, which is made first."""
    try:
        if within is not None and not within.exists():
            from stackr.runtime.engine.roots import make_root

            make_root(within)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise OSError(errno.EPERM, "it belongs to another user")
    except OSError as error:
        raise StackrError(f"cannot lock the project: {folder}: {error.strerror}") from error
    return folder


async def _acquire(
    path: Path, project: str, waiting: Callable[[str], object], timeout_s: float | None
) -> int:
    is_told = False
    try:
        async with asyncio.timeout(timeout_s):
            while (descriptor := _try(path)) is None:
                if not is_told:
                    waiting(_holder(path, project))
                    is_told = True
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise DeadlineExceeded(f"{_holder(path, project)}, and it does not end") from None
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
