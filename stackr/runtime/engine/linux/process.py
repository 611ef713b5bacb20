"""Processes by pid, without mistaking a reused pid for the one that was meant; waits without
polling.

Source: proc(5) `/proc/[pid]/stat` field 22, pidfd_open(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

__all__ = ["Process", "boot_id", "kill_tree", "proc_folder", "start_ticks"]

_PARENT, _START = 4, 22


@cache
def boot_id() -> str:
    """Changes with each boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since the boot; 0 where there is none."""
    return _field(pid, _START)


def _field(pid: int, number: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    return _field_of(stat, number)


def _field_of(stat: bytes, number: int) -> int:
    """A field by its number in proc(5); 0 of a process that has ended."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X") else int(fields[number - 3])


@contextlib.contextmanager
def proc_folder(pid: int, started: int) -> Iterator[int]:
    """A descriptor of /proc/PID that never means another process, even if the pid is used again.

    Raises ProcessLookupError where the process of this pid and start has ended.
    """
    try:
        folder = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid}: has ended") from error
    try:
        stat = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            if _field_of(os.read(stat, 4096), _START) != started:
                raise ProcessLookupError(f"process {pid}: has ended")
        finally:
            os.close(stat)
        yield folder
    finally:
        os.close(folder)


def kill_tree(pid: int, among: Iterable[int]) -> None:
    """SIGKILL to a process and to those of `among` that descend from it; ended ones are fine.

    Each is held by a descriptor before it is looked at once more, so that no other process that
    gets its number anew is hit.
    """
    if pid <= 0:
        return
    parents = {process: _field(process, _PARENT) for process in among}
    doomed, more = {pid}, {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - doomed
        doomed |= more
    for number in doomed & parents.keys():
        with contextlib.suppress(OSError), Process(number, os.pidfd_open(number)) as process:
            if _field(number, _PARENT) == parents[number]:
                process.kill()


class Process:
    """One living process, held by a descriptor that means no other."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._fd = fd

    @classmethod
    def find(cls, pid: int, started: int) -> Process | None:
        """The process of this pid and start, where it still runs."""
        if pid <= 0 or started <= 0:
            return None
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return None
        if start_ticks(pid) != started:
            os.close(fd)
            return None
        return cls(pid, fd)

    def kill(self, number: int = signal.SIGKILL) -> bool:
        """Send a signal; False where the process has ended."""
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True

    async def ended(self) -> None:
        """Wait for the end of the process."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        fd = os.dup(self._fd)  # a selector knows one reader for each number
        loop.add_reader(fd, _resolve, done)
        try:
            await done
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
