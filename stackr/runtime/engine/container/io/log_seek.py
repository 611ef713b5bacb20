"""Where to begin to read a log: at its last lines, or at a time; neither reads all that is before.

A log is a file of lines, each with a time; a line of output may be several of them. What is read
is a block a turn, so that many readings together do not keep the others waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from stackr.runtime.engine.container.io.turns import Turns

__all__ = ["Form", "since_start", "tail_start"]

_BLOCK = 64 << 10
_PROBE = 16 << 10
_LOOKED_AT = 8
"""Lines of a probe. A line of output that was long in the making has the time of its beginning, so
that one alone may be older than what stands before it."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a line of the file is read. ends_line: whether it is the end of a line of output.

    time_ns: since the epoch; None for what is damaged.
    """

    ends_line: Callable[[bytes], bool]
    time_ns: Callable[[bytes], int | None]


async def tail_start(
    fd: int, lines: int, turns: Turns, *, size: int, form: Form
) -> tuple[int, int]:
    """Where the last `lines` lines of output begin, in the first `size` bytes of a log, and how
    many lines there are from there on. Cost: what is read is what is told.
    """
    position, kept, found = size, b"", 0
    while lines > 0 and position > 0:
        await turns.take()
        length = min(_BLOCK, position)
        position -= length
        data = os.pread(fd, length, position) + kept
        end = data.rfind(b"\n")
        while end >= 0:
            before = data.rfind(b"\n", 0, end)
            if before < 0 and position > 0:
                break  # it begins in the block before
            begin = position + end + 1
            if begin < size and form.ends_line(data[before + 1 : end]):
                found += 1
                if found == lines:
                    return begin, found
            end = before
        kept = data[: end + 1] if end >= 0 else data
    return (0, found + (size > 0)) if lines > 0 else (size, 0)


async def since_start(fd: int, since_ns: int, turns: Turns, *, size: int, form: Form) -> int:
    """Where to begin so that no line of `since_ns` or later is missed, in the first `size` bytes;
    what is older may follow, too. Cost: a few blocks, however long the log is.

    Where a clock was set back, so that a time stands twice in the log, it is one of both places.
    """
    low, high = 0, size
    while high - low > _BLOCK:
        middle = (low + high) // 2
        await turns.take()
        newest = _newest_ns(fd, middle, high, form)
        if newest is None or newest >= since_ns:
            high = middle
        else:
            low = middle
    if low == 0:
        return 0
    begin = _next_line(fd, low, size)
    begin, _ = await tail_start(fd, 1, turns, size=begin, form=form)
    return begin


def _newest_ns(fd: int, start: int, end: int, form: Form) -> int | None:
    """Of the first lines that begin between both; None where there is none to be read."""
    length = _PROBE
    while True:
        data = os.pread(fd, min(length, end - start), start)
        lines = data.split(b"\n")[1:-1][:_LOOKED_AT]
        if lines or start + length >= end:
            return max(filter(None, map(form.time_ns, lines)), default=None)
        length *= 4


def _next_line(fd: int, start: int, end: int) -> int:
    """Where the first line after `start` begins."""
    while start < end:
        data = os.pread(fd, min(_BLOCK, end - start), start)
        found = data.find(b"\n")
        if found >= 0 or not data:
            return start + found + 1
        start += len(data)
    return end
