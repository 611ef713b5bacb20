"""Memory is given back a while after a burst of work, once for all of it."""

from __future__ import annotations

import asyncio

from stackr.runtime.engine.linux.heap import HeapTrim


async def test_a_burst_is_given_back_once_and_the_next_one_again() -> None:
    trimmed = asyncio.Semaphore(0)
    loop, count = asyncio.get_running_loop(), 0

    def trim() -> None:
        nonlocal count
        count += 1
        loop.call_soon_threadsafe(trimmed.release)

    heap = HeapTrim(trim, after_s=0.02)
    for expected in (1, 2):
        for _ in range(100):
            heap.worked()
        await asyncio.wait_for(trimmed.acquire(), 60)
        assert count == expected
    heap.worked()
    heap.close()
    await asyncio.sleep(0.05)
    assert count == 2
