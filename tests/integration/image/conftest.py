"""Fixtures of the image tests; each checks that nothing is left half-done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from image_parts import Parts, start_parts
from misbehaving_registry import MisbehavingRegistry

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    running = await start_parts(tmp_path)
    yield running
    assert running.leftovers() == []
    await running.close()


@pytest.fixture
async def bad_registry() -> AsyncIterator[MisbehavingRegistry]:
    async with MisbehavingRegistry() as registry:
        yield registry


@pytest.fixture
def snapshotter(tmp_path: Path) -> Iterator[Callable[[], Overlay]]:
    """Opens a snapshotter on the same folders each time, as a restart does."""
    config = EngineConfig.at(tmp_path / "data", tmp_path / "exec")
    config.data_root.mkdir()
    state = State.open(config.database)

    def reopen() -> Overlay:
        overlay = Overlay(config, state)
        overlay.open()
        return overlay

    yield reopen
    state.close()
