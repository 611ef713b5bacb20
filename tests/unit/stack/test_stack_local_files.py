"""Local trees as archives, and hostile archives written to this host."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import tarfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import IO

import pytest

from stackr.errors import InvalidArgument, StackrError
from stackr.stack.local_files import add_tree, open_archive, unpack
from stackr.stack.thread_streams import consumed, produced


def archive(*entries: tuple[str, str, str]) -> IO[bytes]:
    """Entries of (kind, name, content or target)."""
    kinds = {
        "file": tarfile.REGTYPE,
        "dir": tarfile.DIRTYPE,
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "fifo": tarfile.FIFOTYPE,
        "char": tarfile.CHRTYPE,
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for kind, name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kinds[kind]
            entry.mode = 0o4755 if kind in ("file", "dir") else 0o777
            entry.mtime = 1000
            data = content.encode() if kind == "file" else b""
            entry.size = len(data)
            entry.linkname = "" if kind == "file" else content
            tar.addfile(entry, io.BytesIO(data))
    output.seek(0)
    return output


def written(source: IO[bytes], target: Path, *, into: bool = True) -> list[str]:
    left_out: list[str] = []
    unpack(source, target, into=into, left_out=left_out.append)
    return left_out


def test_a_tree_goes_out_and_comes_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"x" * 100_000)
    (source / "deep" / "file").chmod(0o640)
    (source / "link").symlink_to("/etc/hosts")
    os.mkfifo(source / "fifo")
    output = io.BytesIO()
    with open_archive(output) as tar:
        add_tree(tar, source, "renamed")
    output.seek(0)
    out = tmp_path / "out"
    out.mkdir()
    assert written(output, out) == [str(out / "renamed" / "fifo")]
    assert (out / "renamed" / "deep" / "file").read_bytes() == b"x" * 100_000
    assert stat.S_IMODE((out / "renamed" / "deep" / "file").stat().st_mode) == 0o640
    assert os.readlink(out / "renamed" / "link") == "/etc/hosts"


def test_the_content_alone_and_hard_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("same")
    os.link(source / "a", source / "b")
    output = io.BytesIO()
    with open_archive(output) as tar:
        add_tree(tar, source, "")
    output.seek(0)
    out = tmp_path / "out"
    out.mkdir()
    written(output, out)
    assert sorted(p.name for p in out.iterdir()) == ["a", "b"]
    assert (out / "b").read_text() == "same"


def test_the_tree_gets_the_name_that_was_chosen(tmp_path: Path) -> None:
    written(archive(("dir", "old/", ""), ("file", "old/a", "1")), tmp_path / "new", into=False)
    assert (tmp_path / "new" / "a").read_text() == "1"
    written(archive(("file", "old", "1")), tmp_path / "file", into=False)
    assert (tmp_path / "file").read_text() == "1"
    written(archive(("dir", "./", ""), ("file", "./a", "2")), tmp_path / "content", into=False)
    assert (tmp_path / "content" / "a").read_text() == "2"


def test_no_rights_are_gained(tmp_path: Path) -> None:
    written(archive(("file", "a", "x"), ("dir", "d", "")), tmp_path)
    for name in ("a", "d"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o755
    assert (tmp_path / "a").stat().st_mtime == 1000


def test_devices_are_left_out(tmp_path: Path) -> None:
    left_out = written(archive(("char", "null", ""), ("fifo", "pipe", "")), tmp_path)
    assert left_out == [str(tmp_path / "null"), str(tmp_path / "pipe")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("file", "../out", "x")], "leads out of the target"),
        ([("file", "a/../../out", "x")], "leads out of the target"),
        ([("link", "a", ".."), ("file", "a/out", "x")], "leads through what is no folder"),
        ([("link", "a", "/"), ("dir", "a/b", "")], "leads through what is no folder"),
        ([("file", "a", "x"), ("file", "a/b", "x")], "leads through what is no folder"),
        ([("link", "up", ".."), ("hard", "b", "up/secret")], "leads through what is no folder"),
        ([("hard", "b", "../secret")], "leads out of the target"),
    ],
)
def test_what_leads_out_is_refused(
    tmp_path: Path, entries: list[tuple[str, str, str]], message: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(InvalidArgument, match=message):
        written(archive(*entries), target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "target"]
    assert not (target / "b").exists()


def test_absolute_names_are_below_the_target(tmp_path: Path) -> None:
    written(archive(("file", "/etc/x", "1")), tmp_path)
    assert (tmp_path / "etc" / "x").read_text() == "1"


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    target = tmp_path / "target"
    target.mkdir()
    (target / "a").symlink_to("../precious")
    written(archive(("file", "a", "new")), target)
    assert (tmp_path / "precious").read_text() == "kept"
    assert (target / "a").read_text() == "new"


def test_kinds_are_kept(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidArgument, match=r'overwrite directory ".*folder" with non-directory'):
        written(archive(("file", "folder", "x")), tmp_path)
    with pytest.raises(InvalidArgument, match=r'overwrite non-directory ".*file" with directory'):
        written(archive(("dir", "file", "")), tmp_path)


@pytest.mark.parametrize("data", [b"no archive at all" * 100, b"x"])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidArgument, match="archive: "):
        written(io.BytesIO(data), tmp_path)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    whole = archive(("file", "a", "x" * 10_000)).read()
    with pytest.raises(StackrError):
        written(io.BytesIO(whole[:3000]), tmp_path)


async def test_bytes_to_a_thread_and_back() -> None:
    pieces = [os.urandom(n) for n in (1, 100_000, 300_000, 7)]

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    assert await consumed(chunks(), lambda file: file.read()) == b"".join(pieces)
    assert await consumed(chunks(), lambda file: file.read(3)) == b"".join(pieces)[:3]

    def produce(output: IO[bytes]) -> None:
        for piece in pieces:
            output.write(piece)

    assert b"".join([chunk async for chunk in produced(produce)]) == b"".join(pieces)


async def test_a_producers_error_is_the_consumers() -> None:
    def produce(output: IO[bytes]) -> None:
        output.write(b"x" * 1_000_000)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        [chunk async for chunk in produced(produce)]


async def test_a_consumer_that_stops_ends_the_producer() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def produce(output: IO[bytes]) -> None:
        try:
            while True:
                output.write(b"x" * 1_000_000)
        finally:
            loop.call_soon_threadsafe(ended.set)

    async with aclosing(produced(produce)) as chunks:
        assert len(await anext(chunks)) > 0
    await asyncio.wait_for(ended.wait(), 60)
