"""Processes by pid, without mistaking a reused pid for the one that was meant; waits without
polling.

Source: proc(5) `/proc/[pid]/stat` field 22, pidfd_open(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from functools import cache
from pathlib import Path

__all__ = ["Process", "boot_id", "start_ticks"]


@cache
def boot_id() -> str:
    """Changes with each boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since the boot; 0 where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


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
