"""The runtime suite on the Docker-API back-end: stackr's own engine, and Debian's dockerd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import loopback_registry
import private_dockerd
import pytest
from oci_builder import archive, build, member
from runtime_suite import CHECKS, Subject

from stackr.errors import NotFound
from stackr.runtime.connect import connect
from stackr.runtime.engine.config import EngineConfig
from stackr.stack.lock import project_lock

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


async def test_dockerd_is_known_by_its_id(dockerd: Path, tmp_path: Path) -> None:
    """Two spellings of it exclude each other, by a file of this host."""
    other = tmp_path / "docker.sock"
    other.symlink_to(dockerd)
    told: list[str] = []
    async with await connect(f"unix://{dockerd}") as one, await connect(f"unix://{other}") as two:
        assert not one.capabilities.locks
        assert not one.capabilities.documented_support

        async def wait() -> None:
            async with project_lock(two, "by-id", waiting=told.append):
                pass

        async with project_lock(one, "by-id", waiting=pytest.fail):
            waiter = asyncio.ensure_future(wait())
            while not told:
                await asyncio.sleep(0.01)
            assert not waiter.done()
        await waiter


async def test_a_tag_is_resolved_without_a_pull(
    engine: EngineConfig, registry: str, tmp_path: Path
) -> None:
    repository = f"{registry}/test/resolved"
    image = f"{repository}:latest"
    loopback_registry.push(build(archive(member("file", b"of this test"))), image, tmp_path)
    async with await connect(f"unix://{engine.socket}") as runtime:
        digest = await runtime.resolve_image(image)
        with pytest.raises(NotFound):
            await runtime.inspect_image(image)
        with pytest.raises(NotFound, match="manifest unknown"):
            await runtime.resolve_image(f"{repository}:nosuch")
        async for _ in runtime.pull_image(image):
            pass
        state = await runtime.inspect_image(image)
        assert f"{repository}@{digest}" in state.digests
        assert await runtime.resolve_image(f"{repository}@{digest}") == digest
        await runtime.remove_image(image)
