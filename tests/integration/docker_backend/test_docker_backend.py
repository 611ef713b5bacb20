"""The runtime suite on the Docker-API back-end: stackr's own engine, and Debian's dockerd."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import private_dockerd
import pytest
from runtime_suite import CHECKS, Subject

from stackr.errors import NotFound
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


async def test_a_tag_is_resolved_without_a_pull(engine: EngineConfig, busybox_image: str) -> None:
    repository = busybox_image.rpartition(":")[0]
    async with await connect(f"unix://{engine.socket}") as runtime:
        with contextlib.suppress(NotFound):
            await runtime.remove_image(busybox_image)
        digest = await runtime.resolve_image(busybox_image)
        with pytest.raises(NotFound):
            await runtime.inspect_image(busybox_image)
        with pytest.raises(NotFound, match="manifest unknown"):
            await runtime.resolve_image(f"{repository}:nosuch")
        async for _ in runtime.pull_image(busybox_image):
            pass
        state = await runtime.inspect_image(busybox_image)
        assert f"{repository}@{digest}" in state.digests
        assert await runtime.resolve_image(f"{repository}@{digest}") == digest
