"""An engine's containers in this process, on one image made of busybox; nothing may stay behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from container_engine import Engine


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="stackr-ctr-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def engine(root: Path) -> AsyncIterator[Engine]:
    engine = await Engine.open(root)
    yield engine
    await engine.clear()
    await engine.close()
    await engine.assert_nothing_left()
