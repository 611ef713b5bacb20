"""A container's writable layer as an OCI layer: packed by the real process, unpacked again."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.runtime.engine.image.commit import pack_layer
from stackr.runtime.engine.image.content import ContentStore
from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.snapshot.overlay import Overlay

pytestmark = pytest.mark.root


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    store = ContentStore(tmp_path / "content")
    store.open()
    return store


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """What overlayfs leaves of: an added tree, a removed name, a folder made anew, mount points."""
    path = tmp_path / "upper"
    (path / "added" / "deep").mkdir(parents=True)
    (path / "added" / "file").write_text("content")
    os.chown(path / "added" / "file", 1000, 50)
    (path / "added" / "file").chmod(0o4755)
    os.link(path / "added" / "file", path / "added" / "deep" / "hard")
    (path / "added" / "link").symlink_to("/etc/hosts")
    os.setxattr(path / "added" / "file", "user.note", b"kept\x00bytes")
    os.setxattr(path / "added", "trusted.overlay.impure", b"y")
    os.mknod(path / "added" / "gone", stat.S_IFCHR, os.makedev(0, 0))
    (path / "anew").mkdir()
    os.setxattr(path / "anew", "trusted.overlay.opaque", b"y")
    (path / "anew" / "inside").write_text("x")
    for folder in ("dev", "proc", "sys"):
        (path / folder).mkdir()
    (path / "etc").mkdir()
    for name in ("hosts", "hostname"):
        (path / "etc" / name).touch()
    (path / "etc" / "resolv.conf").write_text("written by the container")
    return path


async def test_a_layer_has_the_changes_and_no_more(upper: Path, content: ContentStore) -> None:
    packed = await pack_layer(upper, content)
    assert packed is not None
    blob = content.path(packed.digest).read_bytes()
    plain = gzip.decompress(blob)
    assert packed.digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert packed.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        entries = {entry.name: entry for entry in archive}
    assert sorted(entries) == [
        ".",
        "added",
        "added/.wh.gone",
        "added/deep",
        "added/deep/hard",
        "added/file",
        "added/link",
        "anew",
        "anew/.wh..wh..opq",
        "anew/inside",
        "etc",
        "etc/resolv.conf",
    ]
    file = entries["added/deep/hard"]
    assert (file.mode, file.uid, file.gid) == (0o4755, 1000, 50)
    assert entries["added/file"].islnk()
    assert entries["added/link"].linkname == "/etc/hosts"


async def test_it_unpacks_to_what_it_was_packed_from(
    upper: Path, content: ContentStore, snapshotter: Callable[[], Overlay]
) -> None:
    packed = await pack_layer(upper, content)
    assert packed is not None
    overlay = snapshotter()
    overlay.keep_layers(lambda: frozenset({packed.diff_id}))
    layer = await Unpacker(overlay).unpack(content.path(packed.digest), diff_id=packed.diff_id)
    root = overlay.image_view([packed.diff_id])
    assert root.read("/added/file") == b"content"
    assert root.stat("/added/gone") is None
    overlay.prepare("one", [packed.diff_id])
    folder = Path(overlay.rootfs("one").base_dir) / layer.directory
    assert stat.S_ISCHR((folder / "added" / "gone").lstat().st_mode)
    assert os.getxattr(folder / "anew", "trusted.overlay.opaque") == b"y"
    assert os.getxattr(folder / "added" / "file", "user.note") == b"kept\x00bytes"
    assert (folder / "added" / "file").stat().st_nlink == 2


async def test_no_changes_are_no_layer(tmp_path: Path, content: ContentStore) -> None:
    empty = tmp_path / "empty"
    (empty / "proc").mkdir(parents=True)
    assert await pack_layer(empty, content) is None
    assert content.digests() == []
    assert list((tmp_path / "content" / "ingest").iterdir()) == []
