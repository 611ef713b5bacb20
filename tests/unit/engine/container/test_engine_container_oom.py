"""Kills for want of memory: as the kernel counts them (v2), and as the monitor notes them (v1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stackr.runtime.engine.container.limits.oom import watch_oom
from stackr.runtime.engine.linux.inotify import FileWatches


@pytest.fixture
async def watches() -> AsyncIterator[FileWatches]:
    made = FileWatches()
    yield made
    made.close()


async def settled() -> None:
    """What the kernel has queued is read."""
    for _ in range(5):
        await asyncio.sleep(0.001)


async def test_each_rise_of_the_kernels_count_is_told(tmp_path: Path, watches: FileWatches) -> None:
    events, told = tmp_path / "memory.events", asyncio.Queue[None]()
    events.write_text("max 0\noom 1\noom_kill 1\n")
    task = asyncio.create_task(watch_oom(events, tmp_path, watches, lambda: told.put_nowait(None)))
    await settled()
    events.write_text("max 9\noom 1\noom_kill 1\n")  # short of memory, and nothing is killed
    await settled()
    assert told.empty()
    for kills in (2, 4):
        events.write_text(f"max 9\noom 2\noom_kill {kills}\n")
        await asyncio.wait_for(told.get(), 60)
    events.unlink()
    await asyncio.wait_for(task, 60)


async def test_each_note_of_the_monitor_is_told(tmp_path: Path, watches: FileWatches) -> None:
    bundle, told = tmp_path / "bundle", asyncio.Queue[None]()
    bundle.mkdir()
    task = asyncio.create_task(watch_oom(None, bundle, watches, lambda: told.put_nowait(None)))
    for _ in range(2):
        (bundle / "oom").touch()
        await asyncio.wait_for(told.get(), 60)
        assert not (bundle / "oom").exists()
    bundle.rmdir()
    await asyncio.wait_for(task, 60)


async def test_what_cannot_be_watched_is_told_at_the_end_alone(
    tmp_path: Path, watches: FileWatches
) -> None:
    await watch_oom(tmp_path / "nowhere", tmp_path, watches, lambda: None)
