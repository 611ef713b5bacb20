"""The archive reader against Python's own writer, against damage, and against its limits."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.runtime.engine.archive.tarstream import ArchiveError, Limits, TarReader

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def archive(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def info(name: str, **attributes: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member


def pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, limits: Limits | None = None, size: int = 700) -> list[tuple[str, bytes]]:
    reader = TarReader(pieces(data, size), limits or Limits())
    return [(e.name.decode("latin-1"), b"".join(map(bytes, reader.data()))) for e in reader]


def refusal(data: bytes) -> str:
    """The message with which `data` is refused, empty where it is read."""
    try:
        read(data)
    except ArchiveError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("size", [1, 511, 512, 4096, 1 << 20])
def test_every_format_and_chunking_reads_the_same(format: int, size: int) -> None:
    members = [("a", b""), ("b/c", b"x" * 512), ("d" * 90 + "/" + "e" * 90, b"y" * 1000)]
    data = archive(*((info(name), content) for name, content in members), format=format)
    assert read(data, size=size) == members


def test_attributes_are_read() -> None:
    member = info("f", mode=0o4755, uid=3_000_000, gid=70_000, mtime=1_700_000_000.25)
    member.pax_headers = {"SCHILY.xattr.user.a": "b"}
    entry = next(iter(TarReader(pieces(archive((member, b"hi"))), Limits())))
    assert (entry.mode, entry.uid, entry.gid) == (0o4755, 3_000_000, 70_000)
    assert entry.mtime_ns == 1_700_000_000_250_000_000
    assert entry.xattrs == {"user.a": b"b"}


def test_base_256_numbers_are_read() -> None:
    data = archive((info("f", uid=2**31, mtime=-5), b""), format=tarfile.GNU_FORMAT)
    entry = next(iter(TarReader(pieces(data), Limits())))
    assert (entry.uid, entry.mtime_ns) == (2**31, -5_000_000_000)


def test_long_names_and_links_of_both_kinds() -> None:
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        member = info("n" * 300, type=tarfile.SYMTYPE, linkname="t" * 300)
        entry = next(iter(TarReader(pieces(archive((member, b""), format=format)), Limits())))
        assert (entry.name, entry.linkname) == (b"n" * 300, b"t" * 300)


def test_content_that_is_not_read_is_skipped() -> None:
    data = archive((info("a"), b"x" * 5000), (info("b"), b""))
    assert [entry.name for entry in TarReader(pieces(data), Limits())] == [b"a", b"b"]


def test_the_end_mark_may_be_missing() -> None:
    data = archive((info("a"), b"x"))[:1024]
    assert read(data) == [("a", b"x")]
    assert read(data[:513]) == [("a", b"x")], "nor need the last member be filled up"
    assert read(b"") == []


@pytest.mark.parametrize("cut", [100, 512 + 10, 1024 + 100])
def test_a_truncated_archive_is_refused(cut: int) -> None:
    data = archive((info("a"), b"x" * 2000))
    with pytest.raises(ArchiveError, match="unexpected end"):
        read(data[:cut])


def test_a_wrong_checksum_is_refused() -> None:
    data = bytearray(archive((info("a"), b"")))
    data[0] ^= 1
    with pytest.raises(ArchiveError, match="wrong checksum"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(entries=2), "more than 2 entries"),
        (Limits(path_bytes=3), "longer than 3 bytes"),
        (Limits(size_bytes=10), "beyond 10 bytes"),
    ],
)
def test_limits_hold(limits: Limits, match: str) -> None:
    data = archive((info("a"), b""), (info("b"), b"x" * 20), (info("name"), b""))
    with pytest.raises(ArchiveError, match=match):
        read(data, limits)


@pytest.mark.parametrize(
    ("member", "match"),
    [
        (info("f", type=tarfile.GNUTYPE_SPARSE), "sparse"),
        (info("f", type=b"Z"), "unhandled tar header type"),
        (info("f", pax_headers={"GNU.sparse.major": "1"}), "sparse"),
        (info("f", pax_headers={"path": "a\0b"}), "invalid name"),
        (info("f", pax_headers={"uid": "-1"}), "out of range"),
        (info("f", pax_headers={"uid": "99999999999"}), "out of range"),
        (info("f", pax_headers={"size": "-7"}), "beyond"),
        (info("f", pax_headers={"size": "x"}), "invalid number"),
        (info("f", pax_headers={"size": str(1 << 60)}), "beyond"),
        (info("f", pax_headers={"SCHILY.xattr.user.a\0b": "v"}), "invalid name of an extended"),
        (info("f", pax_headers={"mtime": "soon"}), "invalid number"),
        (info("f", pax_headers={"path": "\n\x1b[31mred", "uid": "-1"}), r'^"\\x0a\\x1b\[31mred"'),
    ],
)
def test_hostile_members_are_refused_on_one_line(member: tarfile.TarInfo, match: str) -> None:
    with pytest.raises(ArchiveError, match=match) as raised:
        read(archive((member, b"")))
    assert "\n" not in str(raised.value)


def test_times_that_no_file_can_have_become_the_epoch() -> None:
    data = archive((info("f", pax_headers={"mtime": "9" * 30}), b""))
    assert next(iter(TarReader(pieces(data), Limits()))).mtime_ns == 0


def test_a_huge_extended_header_is_refused_unread() -> None:
    member = info("f", pax_headers={"comment": "x" * (2 << 20)})
    with pytest.raises(ArchiveError, match="an extended header of"):
        read(archive((member, b"")))


@given(st.binary(max_size=2048))
def test_noise_is_refused_or_read(data: bytes) -> None:
    assert refusal(data).isprintable()


@given(st.integers(0, 3000), st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_read(at: int, value: int) -> None:
    member = info("name", pax_headers={"SCHILY.xattr.user.k": "v", "path": "p" * 200})
    data = bytearray(archive((member, b"content"), (info("b"), b"")))
    data[at % len(data)] = value
    assert refusal(bytes(data)).isprintable()
