"""Work inside another network namespace, on a thread of its own.

setns(2) moves the calling thread alone, so nothing here may run on the event loop's thread. Python
3.11 has no `os.setns`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from stackr.runtime.engine.linux.syscalls import CLONE_NEWNET, setns

__all__ = [
    "Visitor",
    "inside",
    "of_process",
    "open_current",
    "read_sysctl",
    "write_sysctl",
]

_Result = TypeVar("_Result")


def open_current() -> int:
    """A file descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def of_process(pid: int) -> Iterator[int]:
    """A file descriptor of a process's network namespace; raises OSError where it has ended."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def inside(namespace: int, *, home: int) -> Iterator[None]:
    """Run the block in `namespace`, then return to `home`; both are file descriptors."""
    setns(namespace, CLONE_NEWNET)
    try:
        yield
    finally:
        setns(home, CLONE_NEWNET)


def read_sysctl(name: str) -> str:
    """`net/...` of the calling thread's network namespace."""
    return (Path("/proc/sys") / name).read_text().strip()


def write_sysctl(name: str, value: str) -> None:
    """Set `net/...` of the calling thread's network namespace; no write where it has the value."""
    path = Path("/proc/sys") / name
    if read_sysctl(name) != value:
        path.write_text(value)


class Visitor:
    """A thread that does short work inside other namespaces; what it does must not block.

    Sockets belong to the namespace that they are made in, wherever they are used afterwards.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "netns")

    async def run(
        self,
        namespace: Callable[[], int],
        work: Callable[[], _Result],
        *,
        discard: Callable[[_Result], object],
    ) -> _Result:
        """namespace: opens a descriptor of it, which is closed here. Raises OSError.

        discard: called with a result that comes when the caller has been cancelled.
        """
        visit = asyncio.get_running_loop().run_in_executor(self._thread, _visit, namespace, work)

        def drop(ended: asyncio.Future[_Result]) -> None:
            if not ended.cancelled() and ended.exception() is None:
                discard(ended.result())

        try:
            return await asyncio.shield(visit)
        except asyncio.CancelledError:
            visit.add_done_callback(drop)
            raise

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _visit(namespace: Callable[[], int], work: Callable[[], _Result]) -> _Result:
    home = open_current()
    try:
        away = namespace()
        try:
            with inside(away, home=home):
                return work()
        finally:
            os.close(away)
    finally:
        os.close(home)
