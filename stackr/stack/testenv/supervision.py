"""Wait for the command of a test: until it ends, its time is over, or a signal asks for an end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, Protocol

from stackr.errors import NotFound, StackrError
from stackr.stack.testenv.command import HostCommand
from stackr.stack.testenv.findings import CommandResult

__all__ = ["INTERRUPTED", "Interrupts", "NoInterrupts", "run_command"]

INTERRUPTED = 130
_TIMED_OUT = 124
_CANNOT_RUN = 126
_NO_COMMAND = 127
_GRACE_S = 10.0
_ASKED = "was interrupted"


class Interrupts(Protocol):
    """Where requests to end come from: the signals of a process, or nowhere."""

    async def next(self) -> int:
        """The number of the next signal."""
        ...


class NoInterrupts:
    """Nobody asks for an end but by cancelling the work."""

    async def next(self) -> int:
        number: int = await asyncio.get_running_loop().create_future()
        return number


async def run_command(
    argv: tuple[str, ...],
    variables: Mapping[str, str],
    interrupts: Interrupts,
    limit_s: float | None,
) -> tuple[int, CommandResult]:
    """Run it with these variables beside our own; its exit code as ours, and how it failed.

    Whoever ends it early (124 for its time, 130 for a signal) asks first, and kills it ten seconds
    later, or at a second signal. 126 and 127 are for what cannot be run, as in a shell.
    """
    start = time.monotonic()
    try:
        with HostCommand.start(argv, {**os.environ, **variables}) as command:
            code, failure = await _until_end(command, interrupts, limit_s)
    except NotFound as error:
        code, failure = _NO_COMMAND, f"cannot be run: {error.message}"
    except StackrError as error:
        code, failure = _CANNOT_RUN, f"cannot be run: {error.message}"
    return code, CommandResult(argv, time.monotonic() - start, failure)


async def _until_end(
    command: HostCommand, interrupts: Interrupts, limit_s: float | None
) -> tuple[int, str]:
    ended = asyncio.ensure_future(command.wait())
    deadline = None if limit_s is None else time.monotonic() + limit_s
    stopped = ""
    try:
        while True:
            arrived = await _first_of(ended, interrupts, deadline)
            if ended.done():
                return _verdict(ended.result(), stopped)
            if stopped:  # the grace is over, or a second signal came
                command.kill()
                deadline = None
                continue
            deadline = time.monotonic() + _GRACE_S
            if arrived is not None:
                stopped = _ASKED
                command.signal(arrived, from_terminal=arrived == signal.SIGINT)
            else:
                stopped = f"did not end within {limit_s:g} s"
                command.signal(signal.SIGTERM)
    finally:
        ended.cancel()


async def _first_of(
    ended: asyncio.Future[int], interrupts: Interrupts, deadline: float | None
) -> int | None:
    """Return at the end, at the deadline, or with the number of a signal."""
    arrived = asyncio.ensure_future(interrupts.next())
    left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
    waiting: set[asyncio.Future[Any]] = {ended, arrived}
    await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
    if arrived.done():
        return arrived.result()
    arrived.cancel()
    return None


def _verdict(code: int, stopped: str) -> tuple[int, str]:
    if stopped:
        return (INTERRUPTED if stopped == _ASKED else _TIMED_OUT), stopped
    return code, f"exited with code {code}" if code else ""
