"""How many files this process may still open, and how the last ones are kept.

What lasts (a container, an exec, a follower) is refused where only two shares of the limit are
left; a client and its short calls, which stop, remove and list, where one is; and that one is for
what is under way, so that nothing is left half-made and no end goes unnoticed.
Source: getrlimit(2), `RLIMIT_NOFILE`; proc(5), /proc/PID/fd, whose size is their number since
Linux 6.2.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from stackr.errors import Unavailable

__all__ = ["Descriptors", "are_scarce", "free", "limit", "share", "too_many_open_files"]

_MOST: Final = 64
_PART: Final = 8
_FOLDER: Final = "/proc/self/fd"


def limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free() -> int:
    """How many more may be open at a time."""
    return limit() - (os.stat(_FOLDER).st_size or len(os.listdir(_FOLDER)))


def share() -> int:
    """64 of a large limit, an eighth of a small one."""
    return min(_MOST, limit() // _PART)


def are_scarce() -> bool:
    """Whether nothing that lasts may take one more."""
    return free() <= 2 * share()


def too_many_open_files(also: str = "") -> Unavailable:
    """also: what else there is to say of it."""
    return Unavailable(
        f"engine: too many open files: its limit is {limit()}{also}",
        hint="raise the hard limit of open files (ulimit -Hn, LimitNOFILE) and restart the engine",
    )


class Descriptors:
    """Work that has begun is never short of them: it claims first what it may open at most."""

    def __init__(self) -> None:
        self._claimed = 0
        self._released = asyncio.Event()

    @asynccontextmanager
    async def claim(self, count: int) -> AsyncIterator[None]:
        """Within the block, `count` of them are there for it; waits for what others may give back.

        Raises Unavailable where no others have claimed any, and two shares would not be left.
        """
        while free() - self._claimed < count + 2 * share():
            if not self._claimed:
                raise too_many_open_files()
            await self._released.wait()
        self._claimed += count
        try:
            yield
        finally:
            self._claimed -= count
            released, self._released = self._released, asyncio.Event()
            released.set()
