"""The probe of a path: is it there, in the container's file system as its first process sees it?

The path is resolved by the kernel with the container's root as its root, so that no symlink leads
out of it, and none of /proc's magic ones is followed. A file system that does not answer (FUSE,
NFS) blocks a thread of this probe alone. Source: openat2(2), `RESOLVE_IN_ROOT`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading

from stackr.runtime.engine.container.health.probe import ProbeResult
from stackr.runtime.engine.linux.process import proc_folder
from stackr.runtime.engine.linux.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, open_at

__all__ = ["FileProbe"]

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class FileProbe:
    """One path in one container; pid, started: its first process."""

    def __init__(self, pid: int, started: int, path: str) -> None:
        self._pid = pid
        self._started = started
        self._path = path
        self._under_way: asyncio.Future[ProbeResult] | None = None

    async def __call__(self) -> ProbeResult:
        """At most one thread looks, however often this is called and given up."""
        if self._under_way is None or self._under_way.done():
            self._under_way = self._start()
        return await asyncio.shield(self._under_way)

    def _start(self) -> asyncio.Future[ProbeResult]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[ProbeResult] = loop.create_future()

        def look() -> None:
            result = self._look()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_settle, found, result)

        try:
            threading.Thread(target=look, name="file probe", daemon=True).start()
        except RuntimeError as error:
            found.set_result(ProbeResult(-1, str(error)))
        return found

    def _look(self) -> ProbeResult:
        try:
            with proc_folder(self._pid, self._started) as process:
                root = os.open("root", _FOLDER, dir_fd=process)
        except OSError:
            return ProbeResult(1, "the container has ended")
        try:
            flags = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
            os.close(open_at(root, os.fsencode(self._path), os.O_PATH, resolve=flags))
        except OSError as error:
            return ProbeResult(1, f"{self._path}: {(error.strerror or '').lower()}")
        finally:
            os.close(root)
        return ProbeResult(0, f"{self._path}: exists")


def _settle(future: asyncio.Future[ProbeResult], result: ProbeResult) -> None:
    if not future.done():
        future.set_result(result)
