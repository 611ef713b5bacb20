"""Layers that try to reach beyond their directory, or to exhaust the host."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from image_parts import Parts
from oci_builder import archive, digest_of, member

from stackr.errors import InvalidArgument
from stackr.runtime.engine.archive.tarstream import Limits
from stackr.runtime.engine.image.unpack import Unpacker

pytestmark = pytest.mark.root

LINK, SYM, CHR, BLK, FIFO = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
)  # fmt: skip
NOISE = os.urandom(9999)


async def unpack(
    parts: Parts,
    tmp_path: Path,
    raw: bytes,
    *,
    blob: bytes | None = None,
    limits: Limits | None = None,
) -> Path:
    """The directory that the layer was unpacked into."""
    path = tmp_path / "blob"
    path.write_bytes(gzip.compress(raw, 1) if blob is None else blob)
    layer = await Unpacker(parts.snapshots, limits).unpack(path, diff_id=digest_of(raw))
    return parts.config.snapshots_root / layer.directory


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("../escaped", {}),
        ("a/../../escaped", {}),
        ("/../escaped", {}),
        ("..", {"type": tarfile.DIRTYPE}),
        ("../escaped/", {"type": tarfile.DIRTYPE}),
        ("../escaped", {"type": SYM, "linkname": "/"}),
        ("../escaped", {"type": CHR, "devmajor": 1, "devminor": 3}),
        ("../.wh.escaped", {}),
        ("link", {"type": LINK, "linkname": "../../../../../../etc/passwd"}),
        ("link", {"type": LINK, "linkname": "/../../etc/passwd"}),
    ],
)
async def test_names_and_links_that_climb_out_are_refused(
    parts: Parts, tmp_path: Path, name: str, attributes: dict[str, Any]
) -> None:
    raw = archive(member("etc/passwd", b"inside"), member(name, **attributes))
    with pytest.raises(InvalidArgument, match="is outside of the root file system"):
        await unpack(parts, tmp_path, raw)
    assert not list(tmp_path.rglob("escaped"))


async def test_symlinks_lead_only_inside(parts: Parts, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    raw = archive(
        member("abs", type=SYM, linkname=str(outside)),
        member("up", type=SYM, linkname="../../../../../../../.." + str(outside)),
        member(str(outside).lstrip("/") + "/"),
        member("abs/one", b"1"),
        member("up/two", b"2"),
    )
    root = await unpack(parts, tmp_path, raw)
    assert list(outside.iterdir()) == []
    inside = root / str(outside).lstrip("/")
    assert {path.name for path in inside.iterdir()} == {"one", "two"}
    assert os.readlink(root / "abs") == str(outside)


async def test_a_hard_link_through_a_symlink_stays_inside(parts: Parts, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host")
    raw = archive(
        member("out", type=SYM, linkname=str(tmp_path)),
        member("copy", type=LINK, linkname="out/secret"),
    )
    with pytest.raises(InvalidArgument, match='"copy": No such file or directory'):
        await unpack(parts, tmp_path, raw)
    assert secret.stat().st_nlink == 1


async def test_a_hard_link_to_a_symlink_is_not_followed(parts: Parts, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host")
    raw = archive(
        member("sym", type=SYM, linkname=str(secret)),
        member("hard", type=LINK, linkname="sym"),
    )
    root = await unpack(parts, tmp_path, raw)
    assert (root / "hard").is_symlink()
    assert secret.stat().st_nlink == 1


async def test_a_file_replaces_a_symlink_and_does_not_follow_it(
    parts: Parts, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    raw = archive(member("f", type=SYM, linkname=str(victim)), member("f", b"new"))
    root = await unpack(parts, tmp_path, raw)
    assert (root / "f").read_bytes() == b"new"
    assert victim.read_text() == "untouched"


async def test_a_directory_never_changes_what_a_symlink_names(parts: Parts, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    raw = archive(
        member("d", type=SYM, linkname=str(victim)), member("d/", mode=0o777, uid=7, gid=7)
    )
    root = await unpack(parts, tmp_path, raw)
    assert stat.S_IMODE(victim.stat().st_mode) == 0o700
    assert victim.stat().st_uid == 0
    assert (root / "d").lstat().st_uid == 7


async def test_a_directory_replaced_by_a_symlink_keeps_its_late_mode_to_itself(
    parts: Parts, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    raw = archive(
        member("d/", mode=0o777),
        member("d/x", b"x"),
        member("d", type=SYM, linkname=str(victim)),
    )
    root = await unpack(parts, tmp_path, raw)
    assert (root / "d").is_symlink()
    assert stat.S_IMODE(victim.stat().st_mode) == 0o700


async def test_device_nodes_are_made_and_never_opened(parts: Parts, tmp_path: Path) -> None:
    raw = archive(
        member("dev/null", type=CHR, devmajor=1, devminor=3, mode=0o666, gid=5),
        member("dev/sda", type=BLK, devmajor=8, devminor=0, mode=0o660),
        member("dev/pipe", type=FIFO, mode=0o600),
        member("dev/null", b"a file in its place"),
    )
    root = await unpack(parts, tmp_path, raw)
    assert (root / "dev/null").read_bytes() == b"a file in its place"
    status = (root / "dev/sda").stat()
    assert stat.S_ISBLK(status.st_mode)
    assert (os.major(status.st_rdev), os.minor(status.st_rdev)) == (8, 0)
    assert stat.S_ISFIFO((root / "dev/pipe").stat().st_mode)
    assert stat.S_IMODE(parts.config.snapshots_root.stat().st_mode) == 0o700


async def test_attributes_of_the_overlay_itself_are_not_taken(parts: Parts, tmp_path: Path) -> None:
    raw = archive(
        member("d/", pax_headers={
            "SCHILY.xattr.trusted.overlay.redirect": "/etc",
            "SCHILY.xattr.trusted.overlay.opaque": "y",
            "SCHILY.xattr.security.selinux": "x",
            "SCHILY.xattr.user.kept": "yes",
        }),
    )  # fmt: skip
    root = await unpack(parts, tmp_path, raw)
    assert os.listxattr(root / "d") == ["user.kept"]


async def test_modules_that_a_layer_brings_are_not_imported(parts: Parts, tmp_path: Path) -> None:
    """Python looks modules up late; after the change of root that would be in the layer."""
    library = str(Path(os.__file__).parent).lstrip("/") + "/"
    names = ["encodings/idna", "traceback", "linecache", "locale", "shutil", "tokenize"]
    planted = [
        member(f"{folder}{name}.py", b"open('/pwned', 'w')\nraise SystemExit(3)\n")
        for folder in ("", library)
        for name in names
    ]
    raw = archive(*planted, member("x", type=LINK, linkname="missing"))
    with pytest.raises(InvalidArgument, match='"x": No such file'):
        await unpack(parts, tmp_path, raw)


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(size_bytes=1 << 20), "beyond 1048576 bytes"),
        (Limits(entries=3), "more than 3 entries"),
        (Limits(path_bytes=10), "longer than 10 bytes"),
    ],
)
async def test_bombs_end_at_the_limits(
    parts: Parts, tmp_path: Path, limits: Limits, match: str
) -> None:
    raw = archive(
        *(member(f"f{n}") for n in range(3)), member("long/name/of/a/file"),
        member("zeros", bytes(8 << 20)),
    )  # fmt: skip
    with pytest.raises(InvalidArgument, match=match):
        await unpack(parts, tmp_path, raw, limits=limits)


async def test_parents_that_are_not_listed_count(parts: Parts, tmp_path: Path) -> None:
    raw = archive(*(member(f"{n}/" + "/".join("d" * 100) + "/f") for n in range(5)))
    with pytest.raises(InvalidArgument, match="more than 300 entries"):
        await unpack(parts, tmp_path, raw, limits=Limits(entries=300))


async def test_an_endless_tail_counts(parts: Parts, tmp_path: Path) -> None:
    raw = archive(member("f")) + bytes(64 << 20)
    with pytest.raises(InvalidArgument, match="more than 1048576 bytes"):
        await unpack(parts, tmp_path, raw, limits=Limits(size_bytes=1 << 20))


async def test_very_deep_trees_are_unpacked_and_removed(parts: Parts, tmp_path: Path) -> None:
    deep = "/".join("d" * 2000)
    raw = archive(member(deep + "/f", b"x"), member("d", b"replaces all of it"))
    root = await unpack(parts, tmp_path, raw)
    assert [path.name for path in root.iterdir()] == ["d"]
    raw = archive(member(deep + "/f", b"x"))
    await unpack(parts, tmp_path, raw)
    await parts.snapshots.release_layers()
    assert list((parts.config.snapshots_root / "l").iterdir()) == [
        parts.config.snapshots_root / "l" / "empty"
    ]


@pytest.mark.parametrize(
    ("blob", "match"),
    [
        (b"\x1f\x8b\x08garbage", "invalid gzip data"),
        (gzip.compress(archive(member("f", NOISE)))[:-3000], "unexpected end of the gzip"),
        (b"BZh9", "unexpected end of the bzip2 data"),
        (b"BZh9" + b"noise" * 30, "invalid bzip2 data"),
        (b"\xfd7zXZ\0" + b"noise" * 30, "invalid xz data"),
        (b"\x04\x22\x4d\x18" * 9, "compression is not supported: lz4"),
        (b"noise" * 300, "invalid tar header|wrong checksum"),
        (b"\x28\xb5\x2f\xfdnoise", "invalid zstd data"),
        (gzip.compress(archive(member("other"))), "diff ID mismatch: want sha256:.* got sha256:"),
        (b"", "diff ID mismatch"),
    ],
    ids=[
        *("gzip", "cut gzip", "cut bzip2", "bzip2", "xz", "lz4"),
        *("tar", "zstd", "another", "nothing"),
    ],
)  # fmt: skip
async def test_damage_is_explained(parts: Parts, tmp_path: Path, blob: bytes, match: str) -> None:
    with pytest.raises(InvalidArgument, match=match) as raised:
        await unpack(parts, tmp_path, archive(member("f")), blob=blob)
    assert raised.value.message.startswith("layer sha256:")
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("name", "attributes", "match"),
    [
        ("f/below", {}, "Not a directory"),
        ("loop/x", {}, "Too many levels of symbolic links"),
        ("dangling/x", {}, "No such file"),
        ("d2", {"type": LINK, "linkname": "d"}, "Operation not permitted"),
        ("self", {"type": LINK, "linkname": "self"}, "hard link to itself"),
        (".wh...", {}, "invalid whiteout"),
        (".wh.", {}, "invalid whiteout"),
        ("./", {"type": SYM, "linkname": "x"}, "the root is not a directory"),
    ],
)
async def test_contradictions_are_explained(
    parts: Parts, tmp_path: Path, name: str, attributes: dict[str, Any], match: str
) -> None:
    raw = archive(
        member("f", b""),
        member("d/"),
        member("loop", type=SYM, linkname="loop"),
        member("dangling", type=SYM, linkname="nowhere"),
        member(name, **attributes),
    )
    with pytest.raises(InvalidArgument, match=match):
        await unpack(parts, tmp_path, raw)
