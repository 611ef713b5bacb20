"""A project's lock, on engines that hold it and on others, and what becomes of it in a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from fake_runtime import FakeRuntime

from stackr.errors import Conflict, StackrError, Unavailable
from stackr.runtime.types import Capabilities, LockHolder
from stackr.stack import lock
from stackr.stack.lock import project_lock

_OTHER = LockHolder(7, "ann", "far\x1b[2J", "2026-01-31T14:03:05.123456789Z")


class LockingRuntime(FakeRuntime):
    """Answers to `lock` as scripted, one after the other; the last one for good."""

    def script(self, *answers: LockHolder | StackrError | None) -> LockingRuntime:
        self.capabilities = Capabilities(locks=True)
        self.answers = list(answers)
        self.losses: list[asyncio.Event] = []
        return self

    @asynccontextmanager
    async def lock(
        self, project: str, holder: LockHolder, waiting: Callable[[LockHolder], object]
    ) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        self.calls.append(f"lock {project}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, StackrError):
            raise answer
        if answer is not None:
            waiting(answer)
        loss = asyncio.Event()
        self.losses.append(loss)

        async def lost() -> None:
            await loss.wait()

        yield lost

    async def until_asked(self, times: int) -> None:
        while self.calls.count("lock demo") < times or len(self.losses) < 1:
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_AGAIN_S", "_AFTER_HOLDERS_S"):
        monkeypatch.setattr(lock, name, 0.001)


async def test_who_holds_it_is_told_in_one_line() -> None:
    told: list[str] = []
    async with project_lock(LockingRuntime().script(_OTHER), "demo", waiting=told.append):
        pass
    (line,) = told
    assert line.startswith("another command (process 7, ann@far")
    assert line.endswith('is changing the project "demo"')
    assert ", since 2026-0" in line
    assert "\x1b" not in line


async def test_it_is_taken_again_after_the_engine_was_away() -> None:
    gone = Unavailable("gone")
    runtime = LockingRuntime().script(None, gone, gone, None)
    async with project_lock(runtime, "demo", waiting=pytest.fail):
        runtime.losses[0].set()
        await runtime.until_asked(4)
    assert runtime.calls.count("lock demo") == 4


async def work_until_lost(runtime: LockingRuntime) -> None:
    async with project_lock(runtime, "demo", waiting=pytest.fail):
        runtime.losses[0].set()
        await asyncio.Event().wait()


async def test_the_work_ends_where_another_has_it_meanwhile() -> None:
    runtime = LockingRuntime().script(None, _OTHER)
    with pytest.raises(Conflict, match=r"the engine was started again, and .*process 7.* now"):
        await work_until_lost(runtime)


async def test_nothing_waits_for_ever_for_an_engine_that_stays_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_S", 0.01)
    runtime = LockingRuntime().script(None, Unavailable("gone"))
    with pytest.raises(Unavailable, match="gone"):
        await work_until_lost(runtime)
    with pytest.raises(Unavailable, match="gone"):
        async with project_lock(
            LockingRuntime().script(Unavailable("gone")), "demo", waiting=print
        ):
            pytest.fail("it is not held")


async def test_an_interrupt_stays_one() -> None:
    runtime = LockingRuntime().script(None)

    async def work() -> None:
        async with project_lock(runtime, "demo", waiting=pytest.fail):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await runtime.until_asked(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_engine_without_locks_is_locked_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two connections that tell the same ID exclude each other; another engine's does not."""
    ids = iter(("one", "one", "two"))

    async def identity(runtime: FakeRuntime) -> str:
        return next(ids)

    monkeypatch.setattr(FakeRuntime, "identity", identity)
    told: list[str] = []

    async def second() -> None:
        async with project_lock(FakeRuntime(), "lock-test", waiting=told.append):
            pass

    async with project_lock(FakeRuntime(), "lock-test", waiting=pytest.fail):
        waiter = asyncio.ensure_future(second())
        while not told:
            await asyncio.sleep(0.001)
        async with project_lock(FakeRuntime(), "lock-test", waiting=pytest.fail):
            assert not waiter.done()
    await waiter
    assert len(told) == 1
