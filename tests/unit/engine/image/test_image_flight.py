"""Shared work: once for all who wait, and no longer than one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stackr.errors import Unavailable
from stackr.runtime.engine.image.flight import SingleFlight


class Work:
    """Counts its runs; goes on when `gate` opens."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.gate = asyncio.Event()

    async def __call__(self, tell: Callable[[str], None]) -> int:
        self.runs += 1
        tell("started")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        tell("ended")
        return self.runs


async def test_callers_share_one_run_and_hear_of_it() -> None:
    flights: SingleFlight[str, str, int] = SingleFlight()
    work, heard = Work(), [list[str](), list[str]()]
    callers = [asyncio.ensure_future(flights.run("k", work, h.append)) for h in heard]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.gate.set()
    assert await asyncio.gather(*callers) == [1, 1]
    assert heard[1][-1] == "ended"
    assert await flights.run("k", work, print) == 2


async def test_the_first_caller_may_leave() -> None:
    flights: SingleFlight[str, str, int] = SingleFlight()
    work = Work()
    first, second = (asyncio.ensure_future(flights.run("k", work, lambda _: None)) for _ in "ab")
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    work.gate.set()
    assert await second == 1
    assert (work.runs, work.cancelled) == (1, 0)


async def test_the_work_ends_with_the_last_caller_and_can_start_again() -> None:
    flights: SingleFlight[str, str, int] = SingleFlight()
    work = Work()
    only = asyncio.ensure_future(flights.run("k", work, lambda _: None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    only.cancel()
    again = asyncio.ensure_future(flights.run("k", work, lambda _: None))
    await asyncio.wait([only])
    assert work.cancelled == 1
    work.gate.set()
    assert await again == 2


async def test_a_failure_reaches_every_caller() -> None:
    flights: SingleFlight[str, str, int] = SingleFlight()

    async def fail(_: Callable[[str], None]) -> int:
        raise Unavailable("no")

    results = await asyncio.gather(
        *(flights.run("k", fail, lambda _: None) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [Unavailable] * 3
    with pytest.raises(Unavailable):
        await flights.run("k", fail, lambda _: None)
