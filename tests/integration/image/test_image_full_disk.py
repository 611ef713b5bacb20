"""A pull onto a disk that is too small: one line, nothing left, and it works once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_parts import start_parts
from misbehaving_registry import MisbehavingRegistry
from oci_builder import archive, build, member
from small_disk import small_disk

from stackr.errors import Internal

pytestmark = pytest.mark.root

NOISE = os.urandom(3 << 20)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "2m"):
        yield tmp_path


@pytest.mark.parametrize(
    ("room_bytes", "match"),
    [
        (2 << 20, "cannot be stored: .*: No space left"),
        (5 << 20, "cannot be unpacked: .*: No space left"),
    ],
    ids=["while downloading", "while unpacking"],
)
async def test_no_space(
    bad_registry: MisbehavingRegistry, disk: Path, room_bytes: int, match: str
) -> None:
    remount = ["mount", "-o", f"remount,size={room_bytes}", str(disk)]
    subprocess.run(remount, check=True)
    reference = bad_registry.add(build(archive(member("big", NOISE))))
    parts = await start_parts(disk)
    try:
        with pytest.raises(Internal, match=match):
            await parts.images.pull(reference)
        assert (parts.leftovers(), parts.images.list()) == ([], [])
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        pulled = await parts.images.pull(reference)
        assert parts.snapshots.image_view(pulled.diff_ids).read("/big") == NOISE
    finally:
        await parts.close()
