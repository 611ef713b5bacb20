"""The runtime suite on the Docker-API back-end: stackr's own engine, and Debian's dockerd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import private_dockerd
import pytest
from runtime_suite import CHECKS, Subject

from stackr.runtime.connect import connect
from stackr.runtime.engine.config import EngineConfig

pytestmark = pytest.mark.root
_IMPORTED = "suite/busybox:latest"


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Path]:
    with private_dockerd.serve() as socket:
        private_dockerd.load_image(socket, _IMPORTED)
        yield socket


@pytest.mark.parametrize("check", CHECKS)
async def test_embedded_engine(check: str, engine: EngineConfig, busybox_image: str) -> None:
    async with await connect(f"unix://{engine.socket}") as runtime:
        async for _ in runtime.pull_image(busybox_image):
            pass
        await CHECKS[check](Subject(runtime, busybox_image))


@pytest.mark.parametrize("check", CHECKS)
async def test_dockerd(check: str, dockerd: Path) -> None:
    async with await connect(f"unix://{dockerd}") as runtime:
        await CHECKS[check](Subject(runtime, _IMPORTED))
