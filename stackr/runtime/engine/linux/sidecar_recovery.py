"""A sidecar that has gone is started again: at once, then after longer and longer delays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["Recovery"]

_STEADY_S = 10.0
_FIRST_DELAY_S, _LAST_DELAY_S = 0.1, 10.0


class Recovery:
    """attempt: starts the process and hands it everything again; whether it runs now."""

    def __init__(self, attempt: Callable[[], Awaitable[bool]]) -> None:
        self._attempt = attempt
        self._task: asyncio.Task[None] | None = None
        self._delay_s = 0.0
        self._started_at = 0.0

    @property
    def is_under_way(self) -> bool:
        return self._task is not None

    def started(self) -> None:
        """The process was started this moment."""
        self._started_at = time.monotonic()

    def begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._next_delay_s())
                self.started()
                if await self._attempt():
                    return
        finally:
            self._task = None

    def _next_delay_s(self) -> float:
        """None after a process that has lasted."""
        if time.monotonic() - self._started_at > _STEADY_S:
            self._delay_s = 0.0
        delay_s, self._delay_s = self._delay_s, max(2 * self._delay_s, _FIRST_DELAY_S)
        self._delay_s = min(self._delay_s, _LAST_DELAY_S)
        return delay_s
