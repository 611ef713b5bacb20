"""The builder's parts that need no kernel: archives in and out, lines, merged layers, the cache."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stackr.build.address import is_added_address, is_git, is_remote
from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.build_lines import ClassicLines
from stackr.runtime.engine.build.cache import BuildCache, CacheRecord
from stackr.runtime.engine.build.files import Found
from stackr.runtime.engine.build.merged import MergedFiles
from stackr.runtime.engine.build.packing import Item, archive_of, parse_mode
from stackr.runtime.engine.build.progress import (
    Built,
    Notice,
    Output,
    StageDone,
    StepContainer,
    StepDone,
    StepStarted,
)
from stackr.runtime.engine.build.received import receive
from stackr.runtime.engine.build.remote import GitAddress
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State

FILE, FOLDER = stat.S_IFREG, stat.S_IFDIR


@pytest.mark.parametrize(
    ("text", "mode", "wanted"),
    [
        ("0755", FILE | 0o600, 0o755),
        ("4711", FILE | 0o600, 0o4711),
        ("u=rwX,go=rX", FILE | 0o600, 0o644),
        ("u=rwX,go=rX", FOLDER | 0o700, 0o755),
        ("a+x", FILE | 0o644, 0o755),
        ("+x", FILE | 0o644, 0o755),
        ("g-w,o=", FILE | 0o666, 0o640),
        ("u+s,+t", FILE | 0o755, 0o5755),
        ("go-rwx", FOLDER | 0o777, 0o700),
    ],
)
def test_permissions(text: str, mode: int, wanted: int) -> None:
    parsed = parse_mode(text)
    assert parsed is not None
    assert parsed(mode) == wanted


@pytest.mark.parametrize("text", ["999", "u=q", "x", "07777777"])
def test_malformed_permissions(text: str) -> None:
    with pytest.raises(InvalidArgument, match="octal or symbolic"):
        parse_mode(text)


def test_what_is_packed_is_a_tar_archive(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    part = Found(FILE | 0o4755, 5 * 10**9, str(tmp_path / "f"), 3, 4, owner=(7, 8))
    items = [
        Item("d", Found(FOLDER | 0o711, 10**9)),
        Item("d/part", part),
        Item("d/" + "x" * 150, Found(FILE | 0o644, 0), b"data"),
        Item("link", Found(stat.S_IFLNK | 0o777, 0, target="../up")),
        Item("socket", Found(stat.S_IFSOCK | 0o777, 0)),
    ]
    data = b"".join(archive_of(items))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive}
        assert list(members) == ["d", "d/part", "d/" + "x" * 150, "link"]
        found = members["d/part"]
        assert (found.mode, found.uid, found.gid, found.mtime) == (0o4755, 7, 8, 5)
        content = archive.extractfile(found)
        assert content is not None
        assert content.read() == b"3456"
        assert members["link"].linkname == "../up"


def test_a_file_that_shrinks_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0")
    item = Item("f", Found(FILE | 0o644, 0, str(tmp_path / "f"), 0, 10))
    with pytest.raises(InvalidArgument, match="has shrunk while it was copied"):
        list(archive_of([item]))


def incoming(tmp_path: Path, *members: tuple[str, bytes, str]) -> Any:
    """Receive an archive of (name, type, content or link's target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            info.linkname = "" if kind == tarfile.REGTYPE else content
            archive.addfile(info, io.BytesIO(content.encode()))
    (tmp_path / "in.tar").write_bytes(buffer.getvalue())
    with (tmp_path / "in.tar").open("rb") as file:
        return receive(file.fileno(), tmp_path / "spool")


def test_a_context_comes_in(tmp_path: Path) -> None:
    context = incoming(
        tmp_path,
        ("./a/b", tarfile.REGTYPE, "one"),
        ("a/hard", tarfile.LNKTYPE, "a/b"),
        ("a/b", tarfile.REGTYPE, "two!"),
        ("l", tarfile.SYMTYPE, "/a"),
        ("p", tarfile.FIFOTYPE, ""),
    )
    assert sorted(context.tree.files) == ["a", "a/b", "a/hard", "l", "p"]
    root = context.folder()
    assert (root / "a" / "b").read_text() == "two!"
    assert (root / "a" / "hard").read_text() == "one"
    assert os.readlink(root / "l") == "/a"
    assert not (root / "p").exists()
    assert context.tree.resolve("l/b") == "a/b"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../x", tarfile.REGTYPE, "")], "leads out of the archive"),
        ([("l", tarfile.SYMTYPE, "/etc"), ("l/x", tarfile.REGTYPE, "")], "is no folder"),
        ([("x", tarfile.LNKTYPE, "/etc/passwd")], "links to what is not in the archive"),
        ([("x/y", tarfile.REGTYPE, ""), ("x", tarfile.REGTYPE, "")], "is a folder already"),
    ],
)
def test_a_hostile_context_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes, str]], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        incoming(tmp_path, *members)


def test_merged_layers(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path in ("both/low", "both/same", "only/x", "file"):
        (lower / path).parent.mkdir(parents=True, exist_ok=True)
        (lower / path).write_text(f"lower {path}")
    (upper / "both").mkdir(parents=True)
    (upper / "both" / "same").write_text("upper")
    (upper / "file").mkdir()
    (upper / "link").symlink_to("both/same")
    merged = MergedFiles([upper, lower])
    tree = merged.tree(["both", "link", "file"])
    assert sorted(tree.files) == ["both", "both/low", "both/same", "file", "link"]
    assert tree.resolve("link") == "both/same"
    found = merged.find("both/same")
    assert found is not None
    assert Path(found.place).read_text() == "upper"
    assert merged.find("nope") is None
    assert merged.find("file/x") is None


def step(stage: str, number: int) -> StepStarted:
    return StepStarted(stage, number, 4, f"RUN {number}", number)


def done(stage: str, number: int, *, cached: bool = False) -> StepDone:
    return StepDone(stage, number, cached, "", 0, 0.0, "sha256:" + str(number) * 64)


def test_stages_are_shown_one_after_the_other() -> None:
    written: list[bytes] = []
    lines = ClassicLines(written.append, quiet=False)
    for event in (
        step("a", 1),
        step("b", 3),
        StepContainer("b", 3, "c" * 64, False),
        Output("b", 3, 1, b"from b\n"),
        StepContainer("b", 3, "c" * 64, True),
        Output("a", 1, 2, b"from a\n"),
        done("a", 1),
        step("a", 2),
        done("b", 3),
        done("a", 2, cached=True),
        StageDone("a"),
        Notice("careful"),
        Built("sha256:" + "f" * 64, ("x", "y:1")),
    ):
        lines.put(event)
    streams = [json.loads(line) for line in b"".join(written).splitlines()]
    text = "".join(line.get("stream", "") for line in streams)
    assert text == (
        "Step 1/4 : RUN 1\n\x1b[91mfrom a\n\x1b[0m ---> 111111111111\n"
        "Step 2/4 : RUN 2\n ---> Using cache\n ---> 222222222222\n"
        "Step 3/4 : RUN 3\n ---> Running in cccccccccccc\nfrom b\n"
        " ---> Removed intermediate container cccccccccccc\n ---> 333333333333\n"
        "careful\n"
        "Successfully built ffffffffffff\n"
        "Successfully tagged x:latest\nSuccessfully tagged y:1\n"
    )
    assert {"aux": {"ID": "sha256:" + "f" * 64}} in streams


def test_a_quiet_build_tells_its_image_alone() -> None:
    written: list[bytes] = []
    lines = ClassicLines(written.append, quiet=True)
    for event in (step("a", 1), done("a", 1), StageDone("a"), Built("sha256:ff", ())):
        lines.put(event)
    assert b"".join(written) == b'{"stream": "sha256:ff\\n"}\r\n'


def test_a_quiet_build_that_fails_tells_what_it_said_last() -> None:
    written: list[bytes] = []
    lines = ClassicLines(written.append, quiet=True)
    lines.put(step("a", 1))
    for number in range(300):
        lines.put(Output("a", 1, 1, b"%05d" % number * 1000))
    assert not written
    lines.flush()
    text = b"".join(written)
    assert text.endswith(b'00299"}\r\n')
    assert 900_000 < len(text) <= 1 << 20
    assert json.loads(text.splitlines()[0])["stream"].startswith("00")


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    layers = {"sha256:here"}
    snapshots = SimpleNamespace(layer=lambda id: id if id in layers else None, layers=layers)
    state = State.open(tmp_path / "state.db")
    return BuildCache(state, cast(Overlay, snapshots), tmp_path / "mounts")


def record(key: str, used: int, *, layer: str = "", size: int = 10) -> CacheRecord:
    return CacheRecord(key, layer, size, last_used_ns=used)


def test_a_record_without_its_layer_is_a_miss(cache: BuildCache) -> None:
    cache.put(record("a", 1, layer="sha256:here"))
    cache.put(record("b", 1, layer="sha256:gone"))
    cache.put(record("c", 1))
    assert [cache.find(key) is not None for key in "abcd"] == [True, False, True, False]
    assert cache.layers() == {"sha256:here"}
    assert [each.key for each in cache.list()] == ["a", "c"]


def chosen(cache: BuildCache, **options: Any) -> list[str]:
    given = {"all": True, "keep_bytes": 0, "until_ns": None, "accept": lambda _: True, **options}
    return [each.key for each in cache.choose(**given)]


def test_pruning_takes_the_least_recently_used_first(cache: BuildCache) -> None:
    for number, key in enumerate("abc"):
        cache.put(record(key, number))
    assert chosen(cache) == ["a", "b", "c"]
    assert chosen(cache, keep_bytes=15) == ["a", "b"]
    assert chosen(cache, until_ns=1) == ["a", "b"]
    assert chosen(cache, accept=lambda each: each.key == "b") == ["b"]
    cache.touch(["a"])
    assert chosen(cache, keep_bytes=15) == ["b", "c"]
    with cache.holding() as hold:
        hold("b")
        assert chosen(cache) == ["c", "a"]
        assert cache.remove(cache.list()).keys == ("c", "a")
    assert [each.key for each in cache.list()] == ["b"]


def test_what_images_share_stays_unless_all_is_asked(cache: BuildCache) -> None:
    cache.put(record("a", 1, layer="sha256:here"))
    needed = frozenset({"sha256:here"})
    assert chosen(cache, all=False, needed=needed) == []
    assert chosen(cache, needed=needed) == ["a"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://x/y.git#v1:sub/dir", ("https://x/y.git", "v1", "sub/dir")),
        ("https://x/y.git", ("https://x/y.git", "", "")),
        ("git@x:y.git#:d", ("git@x:y.git", "", "d")),
        ("github.com/a/b#main", ("https://github.com/a/b", "main", "")),
        ("https://x/y.git#v1:../../etc", ("https://x/y.git", "v1", "etc")),
    ],
)
def test_addresses_of_repositories(text: str, wanted: tuple[str, str, str]) -> None:
    assert is_git(text)
    found = GitAddress.parse(text)
    assert (found.repository, found.ref, found.folder) == wanted


@pytest.mark.parametrize("text", ["https://x/y.git#--upload-pack=x", "https://x/y.git#a b"])
def test_a_malformed_address(text: str) -> None:
    with pytest.raises(InvalidArgument, match="git:"):
        GitAddress.parse(text)


def test_what_is_remote() -> None:
    assert is_remote("http://x/y.tar")
    assert not is_git("http://x/y.tar")
    assert not is_remote("dir/http:")
    assert is_remote("github.com/a/b")
    assert not is_added_address("github.com/a/b")
    assert is_added_address("git@host:a")
    assert not is_added_address("a@b")
