"""What a layer becomes on disk: attributes, links, whiteouts, compressions."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from image_parts import Parts
from oci_builder import archive, digest_of, member

from stackr.runtime.engine.image.unpack import Unpacker
from stackr.runtime.engine.snapshot.overlay import RootAttributes

pytestmark = pytest.mark.root

CAPABILITY = b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)


async def unpack(parts: Parts, tmp_path: Path, raw: bytes, blob: bytes | None = None) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(raw if blob is None else blob)
    layer = await Unpacker(parts.snapshots).unpack(path, diff_id=digest_of(raw))
    return parts.config.snapshots_root / layer.directory


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


async def test_attributes_are_kept(parts: Parts, tmp_path: Path) -> None:
    ping = member("bin/ping", b"elf", mode=0o4755, uid=1000, gid=1000, mtime=1_600_000_000.5)
    ping[0].pax_headers = {"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1")}
    raw = archive(
        member("bin/", mode=0o2775, gid=50, mtime=1_500_000_000),
        ping,
        member("bin/ping2", type=tarfile.LNKTYPE, linkname="bin/ping"),
        member("sym", type=tarfile.SYMTYPE, linkname="/bin/ping", uid=9, mtime=1_400_000_000),
    )
    root = await unpack(parts, tmp_path, raw)
    status = (root / "bin/ping").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4755, 1000, 1000)
    assert status.st_mtime_ns == 1_600_000_000_500_000_000
    assert os.getxattr(root / "bin/ping", "security.capability")[:4] == CAPABILITY[:4]
    assert (root / "bin/ping2").stat().st_ino == status.st_ino
    folder = (root / "bin").stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_gid) == (0o2775, 50)
    assert folder.st_mtime == 1_500_000_000
    link = (root / "sym").lstat()
    assert (link.st_uid, link.st_mtime) == (9, 1_400_000_000)


async def test_files_in_a_setgid_directory_keep_their_group(parts: Parts, tmp_path: Path) -> None:
    root = await unpack(
        parts, tmp_path, archive(member("d/", mode=0o2777, gid=50), member("d/f", b""))
    )
    assert (root / "d/f").stat().st_gid == 0


async def test_the_layers_own_root_is_reported(parts: Parts, tmp_path: Path) -> None:
    raw = archive(member("./", mode=0o711, uid=3, gid=4), member("./f", b""))
    await unpack(parts, tmp_path, raw)
    layer = parts.snapshots.layer(digest_of(raw))
    assert layer is not None
    assert layer.root == RootAttributes(0o711, 3, 4)


async def test_whiteouts_become_overlayfs_ones(parts: Parts, tmp_path: Path) -> None:
    raw = archive(
        member(".wh.gone", b""),
        member("d/"),
        member("d/.wh..wh..opq", b""),
        member("d/kept", b""),
        member(".wh..wh.plnk/", b""),
    )
    root = await unpack(parts, tmp_path, raw)
    assert is_whiteout(root / "gone")
    assert is_opaque(root / "d")
    assert {path.name for path in root.iterdir()} == {"gone", "d"}


@pytest.mark.parametrize("first", ["whiteout", "content"])
async def test_a_whiteout_hides_lower_layers_only(parts: Parts, tmp_path: Path, first: str) -> None:
    whiteouts = [member(".wh.file", b""), member(".wh.dir", b""), member(".wh.made", b"")]
    content = [member("file", b"new"), member("dir/"), member("dir/f", b""), member("made/f", b"")]
    order = whiteouts + content if first == "whiteout" else content + whiteouts
    root = await unpack(parts, tmp_path, archive(*order))
    assert (root / "file").read_bytes() == b"new"
    assert is_opaque(root / "dir")
    assert is_opaque(root / "made")
    assert (root / "dir/f").exists()


@pytest.mark.parametrize("compression", ["none", "gzip", "two gzip members", "bzip2", "xz", "zstd"])
async def test_compressions(parts: Parts, tmp_path: Path, compression: str) -> None:
    raw = archive(member("a", os.urandom(100_000)), member("z", bytes(3_000_000)))
    if compression == "zstd":
        blob = subprocess.run(["zstd", "-qc"], input=raw, stdout=-1, check=True).stdout
    else:
        blob = {
            "none": raw,
            "gzip": gzip.compress(raw),
            "bzip2": bz2.compress(raw),
            "xz": lzma.compress(raw),
            "two gzip members": gzip.compress(raw[:70_000]) + gzip.compress(raw[70_000:]),
        }[compression]
    root = await unpack(parts, tmp_path, raw, blob)
    assert (root / "z").stat().st_size == 3_000_000


async def test_a_layer_is_unpacked_once(parts: Parts, tmp_path: Path) -> None:
    raw = archive(member("a", b"1"))
    assert await unpack(parts, tmp_path, raw) == await unpack(parts, tmp_path, raw)
    assert len(list((parts.config.snapshots_root / "l").iterdir())) == 2


async def test_names_that_are_not_utf8(parts: Parts, tmp_path: Path) -> None:
    info, content = member("x", b"1")
    data = bytearray(archive((info, content)))
    data[0:1] = b"\xff"
    checksum = 256 + sum(data[:148]) + sum(data[156:512])
    data[148:156] = b"%06o\0 " % checksum
    root = await unpack(parts, tmp_path, bytes(data))
    assert os.listdir(os.fsencode(root)) == [b"\xff"]
