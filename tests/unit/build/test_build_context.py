"""What of a context a build reads, and what its steps are remembered by."""

from __future__ import annotations

import io
import os
import socket
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stackr.build.cache_key import Ground, chain_id, key_of
from stackr.build.context import ignore_of, read_context
from stackr.build.context_tar import archive
from stackr.build.digests import Digests
from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError
from stackr.build.evaluate import StageState
from stackr.build.ignore import Ignore, parse_ignore
from stackr.build.selection import digest_of, select
from stackr.build.stages import plan_of
from stackr.build.steps import Copy, Run
from stackr.build.tree import File, Tree
from stackr.build.wildcard import compile_pattern
from stackr.errors import InvalidArgument
from stackr.runtime.docker.build.source import read_folder, told_size

FILE, FOLDER, LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777


def tree_of(*paths: str) -> Tree:
    """`a/` is a folder, `a -> b` a symlink, anything else a file with its path as content."""
    files = {}
    for text in paths:
        path, arrow, target = text.partition(" -> ")
        if arrow:
            files[path] = File(LINK, target)
        else:
            is_folder = path.endswith("/")
            files[path.rstrip("/")] = File(FOLDER) if is_folder else File(FILE, f"#{path}")
    return Tree.of(files)


def copy_step(text: str, arguments: dict[str, str] | None = None) -> Copy:
    plan = plan_of(parse(f"FROM a\nARG v\n{text}\n"), arguments=arguments or {})
    state = StageState(plan, plan.target, {})
    *_, step = [state.step(each) for each in state.instructions()]
    assert isinstance(step, Copy)
    return step


def run_step(text: str, arguments: dict[str, str] | None = None, head: str = "ARG v") -> Run:
    plan = plan_of(parse(f"FROM a\n{head}\n{text}\n"), arguments=arguments or {})
    state = StageState(plan, plan.target, {})
    *_, step = [state.step(each) for each in state.instructions()]
    assert isinstance(step, Run)
    return step


def placed(text: str, tree: Tree) -> list[str]:
    """`from -> to` of every file and folder."""
    found = []
    for source in select(copy_step(text), tree):
        found += [f"{path}/ -> {name}/" for path, name in source.parents]
        found += [f"{source.path} -> {source.name}"] if not source.is_folder else []
        found += [f"{source.path}/{each} -> {source.name}/{each}" for each in source.below]
    return found


TREE = tree_of(
    *("a", "b.txt", "d/", "d/x.txt", "d/y.go", "d/e/", "d/e/z.go", "l -> d", "out -> /d/../b.txt"),
    *("loop -> loop", "dead -> nowhere"),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("COPY a /x", ["a -> a"]),
        ("COPY /a ./b.txt /x/", ["a -> a", "b.txt -> b.txt"]),
        ("COPY d /x", ["d/e -> /e", "d/e/z.go -> /e/z.go", "d/x.txt -> /x.txt", "d/y.go -> /y.go"]),
        ("COPY d/*.go /x/", ["d/y.go -> y.go"]),
        ("COPY **/*.go /x/", ["d/e/z.go -> z.go", "d/y.go -> y.go"]),
        ("COPY --parents d/e/z.go /x/", ["d/ -> d/", "d/e/ -> d/e/", "d/e/z.go -> d/e/z.go"]),
        ("COPY --parents d/./e/z.go /x/", ["d/e/ -> e/", "d/e/z.go -> e/z.go"]),
        ("COPY --exclude=*.go --exclude=e d /x", ["d/x.txt -> /x.txt"]),
        ("COPY --exclude=*.txt b* a /x/", ["a -> a"]),
        (
            "COPY l /x/",
            ["d/e -> /e", "d/e/z.go -> /e/z.go", "d/x.txt -> /x.txt", "d/y.go -> /y.go"],
        ),
        ("COPY out /x", ["b.txt -> out"]),
        ("COPY [a] /x/", ["a -> a"]),
    ],
)
def test_what_is_copied_where(text: str, wanted: list[str]) -> None:
    assert placed(text, TREE) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY nope /x", "stat nope: file does not exist"),
        ("COPY b.tx /x", r"stat b.tx: file does not exist \(did you mean b.txt\?\)"),
        ("COPY dead /x", "stat dead: file does not exist"),
        ("COPY loop /x", "too many levels of symbolic links"),
        ("COPY ../a /x", r"forbidden path outside the build context: \.\./a"),
        ("COPY n*e /x", "no source files were specified"),
        ("COPY * /x", "must be a directory and end with a /"),
        ("COPY a[ /x", "syntax error in pattern"),
    ],
)
def test_what_cannot_be_copied(text: str, message: str) -> None:
    tree = TREE if "*" not in text else TREE.without(["loop"])
    with pytest.raises(DockerfileError, match=message):
        placed(text, tree)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.go", "a.go", True),
        ("*.go", "d/a.go", False),
        ("**/a", "a", True),
        ("**/a", "b/c/a", True),
        ("a/**", "a/b/c", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        (r"\*x", "*x", True),
        ("a.b", "axb", False),
        ("[]-a]", "]", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert bool(compile_pattern(pattern).fullmatch(path)) is fits


def walked(root: Path, cache: Path | None = None, dockerfile: str = "Dockerfile") -> Tree:
    return read_context(root, ignore_of(root, dockerfile), Digests(cache))


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    (tmp_path / "d" / "f").chmod(0o750)
    (tmp_path / "l").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "p")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        found = walked(tmp_path)
    assert sorted(found.files) == ["d", "d/f", "l", "p"]
    assert stat.S_IMODE(found.files["d/f"].mode) == 0o750
    assert found.files["l"].digest == "/etc/passwd"
    assert found.resolve("l") is None


def test_what_is_ignored(tmp_path: Path) -> None:
    for path in ("a.log", "b.txt", "node/x/y.js", "keep/in/z", "keep/q"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / ".dockerignore").write_text("# no\n*.log\nnode\nkeep\n!keep/in\n\n")
    assert sorted(walked(tmp_path).files) == [
        *(".dockerignore", "b.txt", "keep", "keep/in", "keep/in/z")
    ]
    (tmp_path / "Other.dockerignore").write_text("**\n!b.txt\n")
    assert sorted(walked(tmp_path, dockerfile="Other").files) == ["b.txt"]


def test_a_malformed_ignore_file() -> None:
    with pytest.raises(DockerfileError, match="dockerignore"):
        parse_ignore(b"a[\n")


def test_digests_are_kept_and_seen_through(tmp_path: Path) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache" / "file"
    root.mkdir()
    (root / "a").write_text("1")
    os.utime(root / "a", (1, 1))
    first = walked(root, cache)
    assert walked(root, cache) == first
    (root / "a").write_text("2")
    os.utime(root / "a", (1, 1))  # same time and size: the change time tells
    assert walked(root, cache).files["a"].digest != first.files["a"].digest
    cache.parent.mkdir(exist_ok=True)
    for damage in ("", "[]", '{"version": 1, "files": {"a": 3}}', '{"version": 1}'):
        cache.write_text(damage)
        assert walked(root, cache) == walked(root)


def test_a_kept_digest_saves_the_reading(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    status = (tmp_path / "a").stat()
    known = [status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns, "kept"]
    cache = tmp_path / "cache"
    cache.write_text(f'{{"version": 1, "files": {{"a": {str(known).replace(chr(39), chr(34))}}}}}')
    assert walked(tmp_path, cache).files["a"].digest == "kept"


def sent(folder: Path, tree: Tree) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive(folder, tree)))) as made:
        files = {each.name: made.extractfile(each) if each.isreg() else None for each in made}
        return {name: file.read() if file else b"" for name, file in files.items()}


def test_names_of_one_file_are_sent_as_such(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("content")
    (tmp_path / "c").hardlink_to(tmp_path / "b")
    (tmp_path / "a").hardlink_to(tmp_path / "b")
    tree = walked(tmp_path)
    sent = b"".join(archive(tmp_path, tree, {"a": b"in its place"}))
    with tarfile.open(fileobj=io.BytesIO(sent)) as made:
        links = {each.name: each.linkname for each in made}
    assert links == {"a": "", "b": "", "c": "b"}


def test_files_that_change_before_they_are_sent(tmp_path: Path) -> None:
    """Those that are gone were never there; others are sent as they are by then."""
    for name in ("gone", "grown", "cut", "pipe", "d/below"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("12345")
    tree = walked(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "grown").write_text("1234567")
    (tmp_path / "cut").write_text("1")
    (tmp_path / "pipe").unlink()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "d/below").unlink()
    (tmp_path / "d").rmdir()
    assert sent(tmp_path, tree) == {"cut": b"1", "grown": b"1234567", "pipe": b""}


def test_a_file_that_becomes_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").write_text("12345")
    tree = walked(context)
    (context / "f").unlink()
    (context / "f").symlink_to("../secret")
    assert sent(context, tree) == {"f": b""}


def test_a_file_that_is_cut_while_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(1 << 20))
    pieces = archive(tmp_path, walked(tmp_path))
    next(pieces)
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(InvalidArgument, match="became smaller while it was sent"):
        list(pieces)


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "x/Dockerfile"])
def test_a_list_of_what_is_ignored_that_is_a_folder(tmp_path: Path, dockerfile: str) -> None:
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(InvalidArgument, match=r"dockerignore: is a directory"):
        ignore_of(tmp_path, dockerfile)


def test_sockets_are_left_out_and_a_loop_of_links_is_sent_as_it_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "out").symlink_to("/etc/passwd")
        tree = read_context(tmp_path, Ignore([]), Digests(None))
    assert sorted(tree.files) == ["loop", "out"]
    assert tree.files["out"].digest == "/etc/passwd"
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive(tmp_path, tree)))) as sent:
        assert sent.getnames() == ["loop", "out"]


async def test_a_large_context_is_told_of_before_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x")
    assert told_size(await read_folder(str(tmp_path), "Dockerfile")) == ""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10**9)
    told = told_size(await read_folder(str(tmp_path), "Dockerfile"))
    assert told.startswith(f"context {tmp_path}: 1000 MB in 2 files are sent; .dockerignore")


def test_a_context_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no such file"):
        walked(tmp_path / "x")


def key(step: Copy | Run, tree: Tree = TREE, layers: Sequence[str] = ("sha256:1",)) -> str:
    reads = {"sources": digest_of(select(step, tree), tree)} if isinstance(step, Copy) else {}
    return key_of(step, Ground(layers), reads)


def test_a_key_goes_by_content_alone() -> None:
    step = copy_step("COPY d /x")
    same = Tree.of({**TREE.files, "a": File(FILE, "other")})
    other = Tree.of({**TREE.files, "d/e/z.go": File(FILE, "other")})
    mode = Tree.of({**TREE.files, "d/e/z.go": File(FILE | 0o111, "#d/e/z.go")})
    keys = {key(step, tree) for tree in (TREE, other, mode)}
    assert len(keys) == 3
    assert key(step, same) == key(step)
    assert key(step, layers=["sha256:2"]) not in keys
    assert key(copy_step("COPY --chown=1 d /x")) not in keys
    assert key(copy_step("COPY ./d/. /x")) == key(copy_step("COPY d /x"))


def test_a_key_goes_by_the_arguments_in_scope() -> None:
    plain = run_step("RUN make")
    assert key(run_step("RUN make", {"v": "1"})) != key(plain)
    assert key(run_step("RUN make", {"v": "1"})) != key(run_step("RUN make", {"v": "2"}))
    assert key(run_step("RUN make", {"v": "1"}, head="LABEL x=y")) == key(plain)
    assert key(run_step("RUN make", {"HTTP_PROXY": "secret"})) == key(plain)
    assert "hunter2" not in key(run_step("RUN make", {"v": "hunter2"}))


def test_chain_ids() -> None:
    """The example of the image specification: one layer is its own chain, two are hashed."""
    assert chain_id([]) == ""
    assert chain_id(["sha256:a"]) == "sha256:a"
    assert chain_id(["sha256:a", "sha256:b"]).startswith("sha256:")
    assert chain_id(["a", "b"]) != chain_id(["b", "a"])
