"""Several pieces of work at once, of which all are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

__all__ = ["all_or_none"]


async def all_or_none(works: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Wait for all; the first failure cancels the rest, and is raised once they have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
