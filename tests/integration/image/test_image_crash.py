"""A pull that is killed, at any point: the next start finds the rest and finishes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web
from image_parts import start_parts
from misbehaving_registry import MisbehavingRegistry
from oci_builder import BuiltImage, archive, build, member

from stackr.runtime.engine.image import settling

pytestmark = pytest.mark.root

NOISE = os.urandom(3 << 20)
PULL = """
import asyncio, sys
from pathlib import Path
from image_parts import start_parts

async def main():
    parts = await start_parts(Path(sys.argv[1]))
    await parts.images.pull(sys.argv[2], progress=lambda line: print(line.status, flush=True))

asyncio.run(main())
"""


def image() -> BuiltImage:
    many = [member(f"d{n % 10}/f{n}", b"x" * 100) for n in range(1_500)]
    return build(archive(member("small", b"1")), archive(member("big", NOISE)), archive(*many))


async def pull_and_kill(root: Path, reference: str, at: asyncio.Event | str) -> None:
    """Pull in a process of its own, and kill that when `at` happens or is printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PULL, str(root), reference),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "suites")},
    )
    assert process.stdout is not None
    if isinstance(at, str):
        while (await process.stdout.readline()).decode().strip() != at:
            assert not process.stdout.at_eof()
    else:
        await at.wait()
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def no_unpacker_left(root: Path) -> None:
    """Its orphans see that their parent is gone, and end.

    They begin in the folder that they make their root once they have come up.
    """
    while True:
        folders = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                folders.append(os.readlink(f"/proc/{pid}/cwd"))
        if not any(folder.startswith(str(root)) for folder in folders):
            return
        await asyncio.sleep(0.02)


async def check_that_it_finishes(root: Path, reference: str, built: BuiltImage) -> None:
    parts = await start_parts(root)
    try:
        assert parts.leftovers() == []
        pulled = await parts.images.pull(reference)
        view = parts.snapshots.image_view(pulled.diff_ids)
        assert view.read("/big") == NOISE
        assert len(view.list_directory("/d7") or ()) == 150
        assert parts.blobs() == {*built.blobs, built.digest}
        assert parts.partials() == {}
    finally:
        await parts.close()


async def test_killed_in_the_middle_of_a_blob(
    bad_registry: MisbehavingRegistry, tmp_path: Path
) -> None:
    built = image()
    reference = bad_registry.add(built)
    sent = asyncio.Event()

    async def on_blob(request: web.Request, data: bytes) -> web.StreamResponse | None:
        if request.match_info["digest"] != built.layers[1]:
            return None
        response = web.StreamResponse()
        response.content_length = len(data)
        await response.prepare(request)
        await response.write(data[: 2 << 20])
        partial = tmp_path / "data/content/ingest" / built.layers[1].replace(":", "-")
        while not partial.exists() or partial.stat().st_size < 1 << 20:
            await asyncio.sleep(0.01)
        sent.set()
        await asyncio.sleep(30)
        return response

    bad_registry.on_blob = on_blob
    await pull_and_kill(tmp_path, reference, sent)
    await no_unpacker_left(tmp_path)
    bad_registry.on_blob = None
    bad_registry.heard.clear()
    await check_that_it_finishes(tmp_path, reference, built)
    (again,) = [heard for heard in bad_registry.heard if built.layers[1] in heard.path]
    assert int(again.headers["Range"].removeprefix("bytes=").removesuffix("-")) >= 1 << 20


@pytest.mark.parametrize("at", ["Pulling fs layer", "Download complete", "Extracting"])
async def test_killed_at_a_stage(
    bad_registry: MisbehavingRegistry, tmp_path: Path, at: str
) -> None:
    built = image()
    reference = bad_registry.add(built)
    await pull_and_kill(tmp_path, reference, at)
    await no_unpacker_left(tmp_path)
    await check_that_it_finishes(tmp_path, reference, built)


async def test_lost_layers_are_unpacked_again(
    bad_registry: MisbehavingRegistry, tmp_path: Path
) -> None:
    built = image()
    reference = bad_registry.add(built)
    first = await start_parts(tmp_path)
    pulled = await first.images.pull(reference)
    layer = first.snapshots.layer(pulled.diff_ids[0])
    assert layer is not None
    await first.close()
    (first.config.snapshots_root / layer.directory).rename(tmp_path / "lost")
    bad_registry.heard.clear()
    again = await start_parts(tmp_path)
    assert again.snapshots.image_view(pulled.diff_ids).read("/small") == b"1"
    assert bad_registry.heard == []
    await again.close()


async def test_an_image_that_cannot_be_completed_is_forgotten(
    bad_registry: MisbehavingRegistry, tmp_path: Path
) -> None:
    built = image()
    first = await start_parts(tmp_path)
    pulled = await first.images.pull(bad_registry.add(built))
    layer = first.snapshots.layer(pulled.diff_ids[0])
    assert layer is not None
    await first.close()
    (first.config.snapshots_root / layer.directory).rename(tmp_path / "lost")
    (first.config.content_root / "blobs/sha256" / built.layers[0][7:]).unlink()
    again = await start_parts(tmp_path)
    assert again.images.list() == []
    assert again.state.all("layer") == {}
    await again.close()


async def test_layers_that_a_power_failure_may_have_torn_are_unpacked_again(
    bad_registry: MisbehavingRegistry, tmp_path: Path
) -> None:
    built = image()
    first = await start_parts(tmp_path)
    pulled = await first.images.pull(bad_registry.add(built))
    settled, unsettled = built.diff_ids[0], built.diff_ids[1]
    first.snapshots.settle()
    assert not first.snapshots.has_unsettled_layers()
    record = first.state.get("layer", unsettled)
    assert record is not None
    first.state.put("layer", unsettled, {**record, "unsettled_since": "another boot"})
    torn = first.config.snapshots_root / record["directory"] / "big"
    torn.write_bytes(b"")
    kept = first.snapshots.layer(settled)
    await first.close()
    again = await start_parts(tmp_path)
    assert again.snapshots.image_view(pulled.diff_ids).read("/big") == NOISE
    assert again.snapshots.layer(settled) == kept
    await again.close()


async def test_new_layers_settle_by_themselves(
    bad_registry: MisbehavingRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_AFTER_S", 0.0)
    parts = await start_parts(tmp_path)
    await parts.images.pull(bad_registry.add(image()))
    while parts.snapshots.has_unsettled_layers():
        await asyncio.sleep(0.01)
    await parts.close()
