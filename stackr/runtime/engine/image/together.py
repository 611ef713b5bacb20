"""Several pieces of work at once, of which all are needed; and one that is not left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

__all__ = ["all_or_none", "finish_in_thread"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def all_or_none(works: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Wait for all; the first failure cancels the rest, and is raised once they have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def finish_in_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run a blocking call in a thread, to its end even where the caller is cancelled.

    A thread cannot be stopped; leaving it behind would let it write to a file that is closed.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # looked at, so that asyncio does not warn of it
        raise
