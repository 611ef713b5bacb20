"""Processes by pid, without mistaking a reused pid for the one that was meant; waits without
polling.

Source: proc(5) `/proc/[pid]/stat` fields 9 and 22, pidfd_open(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.linux.exhaustion import EXHAUSTED

__all__ = [
    "Process",
    "age_s",
    "boot_id",
    "boottime_ns",
    "is_exiting",
    "kill_tree",
    "proc_folder",
    "start_ticks",
]

_PARENT, _FLAGS, _START = 4, 9, 22
_EXITING = 0x4  # PF_EXITING: set before its files are closed
_STOPPED, _ENDED = (b"T", b"t"), (b"Z", b"X")
_LOOK_AGAIN_S = 0.5


@cache
def boot_id() -> str:
    """Changes with each boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boottime_ns() -> int:
    """Since the boot, sleep included: nobody sets this clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def age_s(started: int) -> float:
    """How long ago a process of this boot started; see `start_ticks`."""
    return max(0.0, boottime_ns() / 1e9 - started / os.sysconf("SC_CLK_TCK"))


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since the boot; 0 where there is none."""
    return _field(pid, _START)


def is_exiting(pid: int) -> bool:
    """Whether it is on its way out: some of its files may be closed, and others still open."""
    return bool(_field(pid, _FLAGS) & _EXITING)


def _stat(pid: int) -> bytes:
    """/proc/PID/stat; empty where there is no such process. Raises OSError where none can say."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _fields(stat: bytes) -> list[bytes]:
    """From the third on, the state; the second, a name, may hold anything."""
    return stat[stat.rindex(b")") + 2 :].split()


def _field(pid: int, number: int) -> int:
    stat = _stat(pid)
    return _field_of(stat, number) if stat else 0


def _field_of(stat: bytes, number: int) -> int:
    """A field by its number in proc(5); 0 of a process that has ended."""
    fields = _fields(stat)
    return 0 if fields[0] in _ENDED else int(fields[number - 3])


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


def kill_tree(pid: int, among: Callable[[], Iterable[int]], *, at_once: bool = False) -> None:
    """SIGKILL to a process and to those of `among` that descend from it; to be called until they
    have ended.

    They are stopped first, and killed by a later call: who forks at the moment of its end leaves a
    child that is nobody's, and that nobody finds. at_once: those that are known now, all the same.
    """
    tree = _tree(pid, among())
    is_whole = all(_is_stopped(number) for number in tree) and _tree(pid, among()) == tree
    with contextlib.ExitStack() as held:
        # All of them before the first is killed: its children are another's from then on.
        processes = [held.enter_context(process) for process in _held(tree)]
        for process in processes:
            process.kill(signal.SIGKILL if at_once or is_whole else signal.SIGSTOP)


def _tree(pid: int, among: Iterable[int]) -> dict[int, int]:
    """Those of `among` that are this process or descend from it, each with its parent."""
    parents = {process: _field(process, _PARENT) for process in among} if pid > 0 else {}
    found, more = {pid}, {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return {process: parents[process] for process in found & parents.keys()}


def _held(tree: Mapping[int, int]) -> Iterator[Process]:
    """Each is held before it is looked at once more: its number may be another's by now."""
    for number, parent in tree.items():
        with contextlib.suppress(OSError):
            process = Process(number, os.pidfd_open(number))
            if _field(number, _PARENT) == parent:
                yield process
            else:
                process.close()


def _is_stopped(pid: int) -> bool:
    """Or has ended: it does nothing any more."""
    stat = _stat(pid)
    return not stat or _fields(stat)[0] in (*_STOPPED, *_ENDED)


class Process:
    """One living process, held by a descriptor that means no other.

    Where descriptors are scarce it has none, and is looked for by its pid and start: more work, and
    its end is noticed later, but who is there already is never lost sight of.
    """

    def __init__(self, pid: int, fd: int, started: int = 0) -> None:
        self.pid = pid
        self._fd = fd
        self._started = started
        self._end: asyncio.Future[None] | None = None

    @classmethod
    def find(cls, pid: int, started: int) -> Process | None:
        """The process of this pid and start, where it still runs.

        Raises OSError where that cannot be told: None is for those that have ended.
        """
        if pid <= 0 or started <= 0:
            return None
        fd = -1
        if not descriptors.are_scarce():
            try:
                fd = os.pidfd_open(pid)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    raise
                return None
        process = cls(pid, fd, started)
        with contextlib.ExitStack() as undo:
            undo.callback(process.close)
            if not process._is_there():
                return None
            undo.pop_all()
        return process

    def _is_there(self) -> bool:
        return start_ticks(self.pid) == self._started

    def _may_be_there(self) -> bool:
        try:
            return self._is_there()
        except OSError:
            return True

    def kill(self, number: int = signal.SIGKILL) -> bool:
        """Send a signal; False where the process has ended."""
        try:
            if self._fd < 0:
                return self._kill_by_number(number)
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True

    def _kill_by_number(self, number: int) -> bool:
        fd = os.pidfd_open(self.pid)
        try:
            is_there = self._is_there()
            if is_there:
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)
        return is_there

    async def ended(self) -> None:
        """Wait for the end of the process; any number may wait for it."""
        if self._fd < 0:
            while self._may_be_there():
                await asyncio.sleep(_LOOK_AGAIN_S)
            return
        if self._end is None:
            loop = asyncio.get_running_loop()
            self._end = loop.create_future()
            loop.add_reader(self._fd, self._noticed, loop, self._end)
        await asyncio.shield(self._end)

    def _noticed(self, loop: asyncio.AbstractEventLoop, end: asyncio.Future[None]) -> None:
        loop.remove_reader(self._fd)
        _resolve(end)

    def close(self) -> None:
        """Nobody may wait for its end any more."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if self._end is not None and not self._end.done():
            self._end.get_loop().remove_reader(fd)
        os.close(fd)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
