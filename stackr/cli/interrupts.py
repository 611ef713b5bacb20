"""Ctrl-C and SIGTERM, as something to wait for: the first asks for an orderly end, the next for a
quick one.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

__all__ = ["Interrupts", "cancel_on_signals", "run_interruptible"]

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Counts the signals that arrive while `caught()` is entered."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[int] = asyncio.Queue()

    @contextlib.contextmanager
    def caught(self, *more: signal.Signals) -> Iterator[None]:
        """Take Ctrl-C, SIGTERM and `more` from the process's own handlers."""
        loop = asyncio.get_running_loop()
        for number in (*_SIGNALS, *more):
            loop.add_signal_handler(number, self._arrived.put_nowait, int(number))
        try:
            yield
        finally:
            for number in (*_SIGNALS, *more):
                loop.remove_signal_handler(number)

    async def next(self) -> int:
        """The number of the next signal."""
        return await self._arrived.get()


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in an event loop of its own.

    Ctrl-C or SIGTERM cancels it, so that it cleans up; KeyboardInterrupt is raised after that.
    """
    return asyncio.run(_until_interrupted(work))


async def _until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    cancel_on_signals()
    loop = asyncio.get_running_loop()
    try:
        return await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def cancel_on_signals() -> None:
    """Let Ctrl-C and SIGTERM cancel the current task."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
