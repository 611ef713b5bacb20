"""Callbacks of descriptors, and coroutines that wait for them: what a sidecar needs of a loop.

asyncio would be half of the process: 10 of 20 MB. One thread; nothing blocks but `run_once`.
"""

from __future__ import annotations

import heapq
import select
import sys
import time
from collections.abc import Callable, Coroutine, Generator

__all__ = ["IN", "OUT", "Deadline", "Loop", "Task", "readable", "slept", "writable"]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
_NOTHING = -1


class Deadline(Exception):
    """What a coroutine waited for did not come in time."""


class _Wait:
    """For one event on one descriptor, which nobody else waits for. deadline: monotonic seconds."""

    __slots__ = ("deadline", "events", "fd")

    def __init__(self, fd: int, events: int, deadline: float) -> None:
        self.fd = fd
        self.events = events
        self.deadline = deadline

    def __await__(self) -> Generator[_Wait, None, None]:
        yield self


def readable(fd: int, deadline: float) -> _Wait:
    """Awaited, it returns once `fd` can be read. Raises Deadline."""
    return _Wait(fd, IN, deadline)


def writable(fd: int, deadline: float) -> _Wait:
    """Awaited, it returns once `fd` can be written. Raises Deadline."""
    return _Wait(fd, OUT, deadline)


def slept(deadline: float) -> _Wait:
    """Awaited, it raises Deadline at the deadline."""
    return _Wait(_NOTHING, 0, deadline)


Work = Coroutine[_Wait, None, None]


class Task:
    """A coroutine on its way, in `group` until it ends."""

    __slots__ = ("_cancelled", "_coroutine", "_group", "_loop", "_running", "wait")

    def __init__(self, loop: Loop, coroutine: Work, group: set[Task]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._group = group
        self._running = False
        self._cancelled = False
        self.wait: _Wait | None = None

    def step(self, error: Exception | None = None) -> None:
        """Run to the next wait, or to the end."""
        self._loop.disarm(self)
        self._running = True
        try:
            wait = self._coroutine.throw(error) if error else self._coroutine.send(None)
        except StopIteration:
            self._group.discard(self)
        except Exception:
            sys.excepthook(*sys.exc_info())  # one query's failure is not the others'
            self._group.discard(self)
        else:
            self._loop.arm(self, wait)
        self._running = False
        if self._cancelled:
            self.cancel()

    def cancel(self) -> None:
        """End it where it waits, or will wait next; its `finally` blocks run."""
        if self._running:
            self._cancelled = True
            return
        self._loop.disarm(self)
        self._coroutine.close()
        self._group.discard(self)


class Loop:
    """Callbacks of descriptors that stay, and tasks that wait for others."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._deadlines: list[tuple[float, int, Task, _Wait]] = []
        self._armed = 0

    def watch(self, fd: int, callback: Callable[[], None], events: int = IN) -> None:
        """Call `callback` whenever `fd` can be read, or as `events` say, until `unwatch`.

        It may be called without any, and is where the other side has gone.
        """
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch for other events from now on."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Before `fd` is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def spawn(self, coroutine: Work, group: set[Task]) -> None:
        """Run it, now to its first wait; it is in `group` until it ends."""
        task = Task(self, coroutine, group)
        group.add(task)
        task.step()

    def run_once(self) -> None:
        """Wait for the next events, or the next deadline, and see to what has come."""
        for fd, _ in self._epoll.poll(self._timeout_s()):
            callback = self._callbacks.get(fd)
            if callback is not None:  # what came before may have taken it away
                callback()
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, task, wait = heapq.heappop(self._deadlines)
            if task.wait is wait:
                task.step(Deadline())

    def arm(self, task: Task, wait: _Wait) -> None:
        task.wait = wait
        if wait.fd != _NOTHING:
            self.watch(wait.fd, task.step, wait.events)
        self._armed += 1
        heapq.heappush(self._deadlines, (wait.deadline, self._armed, task, wait))

    def disarm(self, task: Task) -> None:
        wait, task.wait = task.wait, None
        if wait is not None:
            self.unwatch(wait.fd)

    def _timeout_s(self) -> float | None:
        while self._deadlines and self._deadlines[0][2].wait is not self._deadlines[0][3]:
            heapq.heappop(self._deadlines)
        if not self._deadlines:
            return None
        return max(0.0, self._deadlines[0][0] - time.monotonic())
