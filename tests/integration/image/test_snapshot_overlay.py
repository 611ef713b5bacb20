"""The overlay snapshotter under the suite, and what only it promises."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import snapshotter_suite
from small_disk import unmount
from snapshotter_suite import add_layer, in_mount, whiteout, write

from stackr.errors import InvalidArgument
from stackr.runtime.engine.snapshot.overlay import Overlay

pytestmark = pytest.mark.root

Factory = Callable[[], Overlay]


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("check", snapshotter_suite.CHECKS, ids=lambda check: check.__name__)
def test_suite(
    check: Callable[[Factory, Path], None], snapshotter: Factory, tmp_path: Path
) -> None:
    check(snapshotter, tmp_path / "mnt")


async def test_removal_frees_the_disk(snapshotter: Factory, tmp_path: Path) -> None:
    overlay = snapshotter()
    layer = add_layer(overlay, 1, write(f="1"))
    overlay.prepare("c", [layer])
    in_mount(overlay.rootfs("c"), tmp_path / "mnt", "mkdir -p a/b; echo 12345 > a/b/f; ln a/b/f g")
    assert await overlay.usage("c") == 6
    await overlay.remove("c")
    await overlay.remove("c")
    assert overlay.containers() == []
    root = tmp_path / "data" / "snapshots"
    assert [str(path.relative_to(root)) for path in root.glob("*/*")] == ["l/empty"]


def test_layers_are_placed_apart_on_ext4(snapshotter: Factory, tmp_path: Path) -> None:
    disk, root = tmp_path / "disk", tmp_path / "data" / "snapshots"
    with disk.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-o", "loop", disk, root], check=True)
    try:
        snapshotter()
        for name in ("new", "c"):
            flags = subprocess.run(["lsattr", "-d", root / name], capture_output=True, text=True)
            assert "T" in flags.stdout.split()[0], flags
    finally:
        unmount(root)


async def test_layers_that_an_image_wants_stay(snapshotter: Factory) -> None:
    overlay = snapshotter()
    one, two = add_layer(overlay, 1, write(f="1")), add_layer(overlay, 2, write(f="2"))
    overlay.keep_layers(lambda: frozenset([one]))
    overlay.prepare("c", [one, two])
    assert await overlay.release_layers() == []
    await overlay.remove("c")
    assert overlay.layer(one) is not None
    assert overlay.layer(two) is None


def test_more_layers_than_the_kernel_stacks(snapshotter: Factory) -> None:
    with pytest.raises(InvalidArgument, match="501 layers: at most 500 stack"):
        snapshotter().prepare("c", [snapshotter_suite.digest(n) for n in range(501)])


def test_symlinks_are_resolved_in_the_stack(snapshotter: Factory, tmp_path: Path) -> None:
    overlay = snapshotter()
    (tmp_path / "passwd").write_text("the host's")

    def fill(path: Path) -> None:
        (path / "etc").mkdir()
        (path / "etc" / "passwd").write_text("the image's")
        (path / "out").symlink_to(str(tmp_path / "passwd"))
        (path / "abs").symlink_to("/etc")
        (path / "up").symlink_to("../../../../../etc/passwd")
        (path / "loop").symlink_to("loop")
        (path / "etc" / "rel").symlink_to("../abs/passwd")

    view = overlay.image_view([add_layer(overlay, 1, fill)])
    assert view.read("/out") is None
    assert view.read("abs/passwd") == b"the image's"
    assert view.read("/../../up") == b"the image's"
    assert view.read("/etc/../etc/./rel") == b"the image's"
    assert view.read("/etc/passwd/x") is None
    assert view.read("/etc") is None
    with pytest.raises(InvalidArgument, match="too many levels of symbolic links"):
        view.read("/loop")
    with pytest.raises(InvalidArgument, match="larger than 3 bytes"):
        view.read("/etc/passwd", limit_bytes=3)


def test_copy_up_merges_and_keeps_attributes(snapshotter: Factory, tmp_path: Path) -> None:
    overlay = snapshotter()

    def below(path: Path) -> None:
        data = path / "data"
        (data / "sub").mkdir(parents=True)
        (data / "sub" / "old").write_text("old")
        (data / "gone").write_text("gone")
        os.chown(data, 999, 998)
        data.chmod(0o2770)
        os.mkfifo(data / "fifo", 0o640)

    def above(path: Path) -> None:
        data = path / "data"
        (data / "sub").mkdir(parents=True)
        (data / "sub" / "new").write_text("new")
        (data / "sub" / "new").chmod(0o4750)
        os.utime(data / "sub" / "new", ns=(1, 1_234_567_890))
        os.setxattr(data / "sub" / "new", "user.k", b"v")
        (data / "link").symlink_to("/data/sub")
        whiteout(data / "gone")
        os.chown(data, 999, 998)
        data.chmod(0o2770)
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(str(data / "socket"))

    view = overlay.image_view([add_layer(overlay, 1, below), add_layer(overlay, 2, above)])
    target = tmp_path / "volume"
    target.mkdir()
    with opened(target) as fd:
        assert view.copy_up("/data/link/..", fd) is True
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == ["fifo", "link", "sub", "sub/new", "sub/old"]
    status = target.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o2770, 999, 998)
    new = target / "sub" / "new"
    assert (new.stat().st_mode & 0o7777, new.stat().st_mtime_ns) == (0o4750, 1_234_567_890)
    assert os.getxattr(new, "user.k") == b"v"
    assert os.readlink(target / "link") == "/data/sub"
    with opened(target) as fd:
        assert view.copy_up("/nothing", fd) is False
        assert view.copy_up("/data/sub/new", fd) is False
