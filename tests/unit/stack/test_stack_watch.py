"""Watch: patterns, rules of a stack file, what a batch of changes asks for, and changes as seen."""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from stackr.errors import InvalidArgument, InvalidProject, StackrError
from stackr.runtime.container import ExecConfig
from stackr.runtime.types import ContainerState
from stackr.spec.load import load
from stackr.spec.session import LoadOptions
from stackr.stack.watch import sync as syncing
from stackr.stack.watch.batch import batch_of, initial_batch
from stackr.stack.watch.changes import changed_paths
from stackr.stack.watch.patterns import Patterns, read_ignore_file
from stackr.stack.watch.rules import WatchRule, WatchRules, watch_rules

# moby/patternmatcher, patternmatcher_test.go: the same cases.
_MATCHES = [
    *[("**", name, True) for name in ("file", "dir/file")],
    *[("**/", name, True) for name in ("file", "dir/file")],
    *[("**/**", name, True) for name in ("dir/file", "a/b/c")],
    ("dir/**", "dir/file", True),
    ("dir/**", "dir/dir2/file", True),
    ("**/dir", "dir", True),
    ("**/dir", "dir/file", True),
    ("**/dir2/*", "dir/dir2/file", True),
    ("**/dir2/**", "dir/dir2/dir3/file", True),
    ("**file", "file", True),
    ("**file", "dir/dir/file", True),
    ("**/file*.txt*", "dir/dir/file.txt", True),
    ("**/**/*.txt", "file.txt", True),
    ("**/**/*.txt2", "dir/dir/file.txt", False),
    ("a**/*.txt", "a/file.txt", True),
    ("a**/*.txt", "a/dir/dir/file.txt", True),
    ("a/*.txt", "a/dir/file.txt", False),
    ("a/*.txt**", "a/file.txt", True),
    ("a[b-d]e", "ace", True),
    ("a[b-d]e", "aae", False),
    ("a[^b-d]e", "aze", True),
    ("a[^b-d]e", "ace", False),
    ("a[&&]e", "a&e", True),
    (r"a[\]x]e", "a]e", True),
    (".*", ".foo", True),
    (".*", "foo", False),
    ("abc.def", "abcdef", False),
    ("abc?def", "abcZdef", True),
    ("abc?def", "abc/def", False),
    (r"a\\", "a\\", True),
    (r"a\*", "ab", False),
    (r"a\*", "a*", True),
    ("**/foo/bar", "dir/dir2/foo/bar", True),
    ("abc/**", "abc", False),
    ("abc/**", "abc/def/ghi", True),
    ("**/.foo", "bar.foo", False),
    ("a(b)c/def", "a(b)c/def", True),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
    ("docs", "docs/deep/file", True),
    ("docs", "a/docs", False),
    ("/docs", "docs/x", True),
    ("docs/", "docs/x", True),
    (".", "x", True),
    ("/root/proj/docs", "docs/x", True),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), _MATCHES)
def test_a_pattern_matches_as_with_moby(pattern: str, name: str, expected: bool) -> None:
    root = Path("/root/proj")
    assert Patterns(root, [pattern]).match(root / name) is expected


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["*", "!src"], "src/main.py", False),
        (["*", "!src"], "other/main.py", True),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["!docs", "docs"], "docs/x", True),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        ([" ", "  docs  "], "docs/x", True),
        ([], "docs", False),
    ],
)
def test_the_last_pattern_that_matches_counts(
    patterns: list[str], name: str, expected: bool
) -> None:
    assert Patterns(Path("/p"), patterns).match(Path("/p", name)) is expected


def test_nothing_outside_the_folder_matches() -> None:
    assert not Patterns(Path("/p"), ["**"]).match(Path("/other/file"))


@pytest.mark.parametrize("pattern", ["!", "[", "a[b", "[z-a]"])
def test_a_pattern_that_is_none(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        Patterns(Path("/p"), [pattern])


def test_an_ignore_file(tmp_path: Path) -> None:
    path = tmp_path / ".dockerignore"
    path.write_bytes(b"\xef\xbb\xbf# no\n\n  a  \n!b\r\n")
    assert read_ignore_file(path) == ["a", "!b"]


# --- rules --------------------------------------------------------------------------------------


def rules_of(folder: Path, triggers: str, more: str = "") -> WatchRules:
    (folder / "compose.yaml").write_text(
        f"name: p\nservices:\n  web:\n    image: x\n{more}    develop:\n      watch: {triggers}\n"
    )
    return watch_rules(load(LoadOptions(), {}, folder))


def only_rule(folder: Path, trigger: str, more: str = "") -> WatchRule:
    [rule] = rules_of(folder, f"[{trigger}]", more).rules
    return rule


def test_a_rule_knows_its_files(tmp_path: Path) -> None:
    rule = only_rule(
        tmp_path,
        "{action: sync, path: ./src, target: /app, ignore: [node_modules/], include: ['**/*.js']}",
    )
    src = tmp_path / "src"
    assert rule.match(src / "a.js")
    assert rule.match(src / "deep/a.js")
    assert not rule.match(src / "a.ts")
    assert not rule.match(src / "node_modules/x/a.js")
    assert not rule.match(tmp_path / "a.js")
    assert not rule.match(tmp_path / "src2/a.js")
    assert not rule.may_match_below(src / "node_modules")
    assert rule.may_match_below(src / "deep")
    assert rule.inside(src / "deep/a.js") == "/app/deep/a.js"
    assert rule.inside(src) == "/app"


@pytest.mark.parametrize(
    "name",
    [".git/HEAD", "deep/.git/x", ".idea/w.xml", "a~", ".a.swp", "4913", "#a#", "x___jb_tmp___"],
)
def test_what_editors_leave_is_ignored(tmp_path: Path, name: str) -> None:
    rule = only_rule(tmp_path, "{action: sync, path: ., target: /app}")
    assert not rule.match(tmp_path / name)
    assert rule.match(tmp_path / ".gitignore")


def test_a_file_by_itself(tmp_path: Path) -> None:
    rule = only_rule(tmp_path, "{action: sync+restart, path: conf.ini, target: /etc/conf.ini}")
    assert rule.match(tmp_path / "conf.ini")
    assert not rule.match(tmp_path / "conf.ini.bak")
    assert rule.inside(tmp_path / "conf.ini") == "/etc/conf.ini"


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_what_the_build_leaves_out_is_ignored(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("**/*.md\n!README.md\n")
    rule = only_rule(tmp_path, "{action: sync, path: ., target: /app}", "    build: .\n")
    assert not rule.match(tmp_path / "docs/x.md")
    assert rule.match(tmp_path / "README.md")


def test_the_dockerfiles_own_list_comes_first(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n")
    (tmp_path / "Other.dockerignore").write_text("b\n")
    build = "    build: {context: ., dockerfile: Other}\n"
    rule = only_rule(tmp_path, "{action: sync, path: ., target: /app}", build)
    assert rule.match(tmp_path / "a")
    assert not rule.match(tmp_path / "b")


def test_a_bind_mount_is_not_copied_into(tmp_path: Path) -> None:
    found = rules_of(
        tmp_path,
        "[{action: sync, path: ./src/sub, target: /app}, {action: restart, path: ./src}]",
        "    volumes: ['./src:/app']\n",
    )
    assert [rule.trigger.action for rule in found.rules] == ["restart"]
    assert "bind mount" in found.warnings[0]


def test_a_rebuild_comes_once_for_all_that_changed(tmp_path: Path) -> None:
    found = rules_of(tmp_path, "[{action: rebuild, path: ./src}]", "    build: .\n")
    batch = batch_of(found.rules, [tmp_path / "src/a", tmp_path / "src/b"])
    assert batch
    assert (batch.rebuilds, batch.files, batch.restarts) == (["web"], {}, [])


def test_a_rebuild_of_what_is_not_built_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidProject, match=r"services\.web\.develop\.watch\[0\]\.action: rebuild"
    ):
        rules_of(tmp_path, "[{action: rebuild, path: .}]", "")


def test_nothing_to_watch(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: p\nservices: {web: {image: x}}\n")
    with pytest.raises(InvalidProject, match="none of the selected services"):
        watch_rules(load(LoadOptions(), {}, tmp_path))


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("{action: sync+exec, path: ., target: /a}", r"watch\[0\]\.exec\.command"),
        ("{action: sync, path: ., target: /a, ignore: ['[']}", r"watch\[0\]: syntax error"),
    ],
)
def test_a_rule_that_is_wrong(tmp_path: Path, trigger: str, message: str) -> None:
    with pytest.raises(InvalidProject, match=message):
        rules_of(tmp_path, f"[{trigger}]")


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_brings_all_actions_together(tmp_path: Path) -> None:
    found = rules_of(
        tmp_path,
        """
        - {action: sync, path: ./src, target: /app, ignore: ['*.log']}
        - {action: sync+restart, path: ./conf, target: /etc/conf}
        - {action: sync+exec, path: ./hook, target: /hook, exec: {command: make}}
        - {action: restart, path: ./lib}
""",
    )
    for name in ("src/a", "src/new/b", "src/new/c.log", "conf", "hook/x", "hook/y", "lib/z"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    changed = {tmp_path / name for name in ("src/new", "src/gone", "src/x.log", "hook", "conf")}
    batch = batch_of(found.rules, changed)
    assert sorted(batch.files["web"]) == [
        "/app/gone",
        "/app/new",
        "/app/new/b",
        "/app/new/c.log",
        "/etc/conf",
        "/hook/x",
        "/hook/y",
    ]
    assert batch.restarts == ["web"]
    assert [rule.trigger.action for rule in batch.hooks] == ["sync+exec"]
    assert batch_of(found.rules, {tmp_path / "lib/z"}).files == {}
    assert not batch_of(found.rules, {tmp_path / "other"})


def test_ignored_folders_are_not_read(tmp_path: Path) -> None:
    rule = only_rule(tmp_path, "{action: sync, path: ., target: /a, ignore: [big]}")
    (tmp_path / "src/big").mkdir(parents=True)
    (tmp_path / "big/deep").mkdir(parents=True)
    assert sorted(batch_of([rule], {tmp_path}).files["web"]) == [
        "/a/compose.yaml",
        "/a/src",
        "/a/src/big",
    ]


def test_a_symlink_to_a_folder_is_one_file(tmp_path: Path) -> None:
    rule = only_rule(tmp_path, "{action: sync, path: ./src, target: /a}")
    (tmp_path / "src").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").write_text("")
    (tmp_path / "src/link").symlink_to("../elsewhere")
    assert list(batch_of([rule], {tmp_path / "src/link"}).files["web"]) == ["/a/link"]


def test_the_first_batch_is_what_the_image_does_not_have_yet(tmp_path: Path) -> None:
    found = rules_of(
        tmp_path,
        """
        - {action: sync, path: ./src, target: /app, initial_sync: true, ignore: [b]}
        - {action: sync, path: ./other, target: /other}
        - {action: restart, path: ./src, initial_sync: true}
""",
    )
    for name in ("src/old", "src/new", "src/b", "other/new"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    os.utime(tmp_path / "src/old", (1000, 1000))
    batch = initial_batch(found.rules, lambda service: 2000.0)
    assert batch.files == {"web": {"/app/new": tmp_path / "src/new"}}
    assert not batch.restarts
    assert not initial_batch(found.rules, lambda service: float("inf"))


# --- changes ------------------------------------------------------------------------------------


async def _seen(
    paths: Sequence[Path], change: Callable[[], Any], until: Path, patience_s: float = 60
) -> set[Path]:
    """What is reported of a change, up to a path."""
    seen: set[Path] = set()
    async with asyncio.timeout(patience_s):
        async with aclosing(changed_paths(paths)) as batches:
            assert await anext(batches) == set()
            change()
            while until not in seen:
                seen |= await anext(batches)
    return seen


async def test_a_folder_and_a_file_are_followed(tmp_path: Path) -> None:
    src, file, other = tmp_path / "src", tmp_path / "file", tmp_path / "other"
    src.mkdir()
    file.write_text("")

    def write() -> None:
        other.write_text("")
        (src / "a").write_text("")

    assert await _seen([src, file], write, src / "a") == {src / "a"}

    def replace() -> None:
        other.write_text("new")
        other.replace(file)

    assert await _seen([src, file], replace, file) == {file}


async def test_a_folder_that_comes_later_is_followed(tmp_path: Path) -> None:
    late = tmp_path / "not/yet"
    seen: set[Path] = set()
    async with asyncio.timeout(60):
        async with aclosing(changed_paths([late])) as batches:
            assert await anext(batches) == set()
            late.mkdir(parents=True)
            while late not in seen:
                seen |= await anext(batches)
            (late / "x").write_text("")
            while late / "x" not in seen:
                seen |= await anext(batches)


async def test_a_folder_that_is_replaced_is_followed_further(tmp_path: Path) -> None:
    src = tmp_path / "src"
    src.mkdir()
    seen: set[Path] = set()

    def replace() -> None:
        shutil.rmtree(src)
        src.mkdir()

    async with asyncio.timeout(60):
        async with aclosing(changed_paths([src])) as batches:
            assert await anext(batches) == set()
            replace()
            while src not in seen:
                seen |= await anext(batches)
            (src / "x").write_text("")
            while src / "x" not in seen:
                seen |= await anext(batches)


async def test_nothing_is_missed_while_a_batch_is_worked_on(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        async with aclosing(changed_paths([tmp_path])) as batches:
            await anext(batches)
            (tmp_path / "a").write_text("")
            assert await anext(batches) == {tmp_path / "a"}
            (tmp_path / "b").write_text("")
            await asyncio.sleep(0.3)
            (tmp_path / "c").write_text("")
            seen: set[Path] = set()
            while seen != {tmp_path / "b", tmp_path / "c"}:
                seen |= await anext(batches)


# --- what goes to containers --------------------------------------------------------------------


class _Program:
    def __init__(self, code: int) -> None:
        self._code = code

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        yield "stderr", b"rm: no\n"

    async def exit_code(self) -> int:
        return self._code

    async def close(self) -> None:
        return


class _Engine:
    """Notes the archives and the commands that it gets."""

    def __init__(self, codes: Sequence[int] = ()) -> None:
        self.archives: list[list[str]] = []
        self.commands: list[tuple[tuple[str, ...], str]] = []
        self._codes = list(codes)

    async def put_archive(
        self, ref: str, path: str, archive: AsyncIterator[bytes], **options: bool
    ) -> None:
        import io

        assert (path, options) == ("/", {"as_user": True, "replace": True})
        data = b"".join([chunk async for chunk in archive])
        with tarfile.open(fileobj=io.BytesIO(data)) as read:
            self.archives.append(read.getnames())

    async def exec(self, ref: str, config: ExecConfig) -> _Program:
        self.commands.append((config.command, config.user))
        return _Program(self._codes.pop(0) if self._codes else 0)


def _container(name: str = "p-web-1") -> ContainerState:
    return ContainerState(id=name, name=name)


async def test_files_are_copied_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    engine = _Engine()
    files = {
        "/app/a": tmp_path / "a",
        "/app/dir": tmp_path / "dir",
        "/app/dangling": tmp_path / "dangling",
        "/app/gone": tmp_path / "gone",
        "/app/gone/below": tmp_path / "gone/below",
        "/app/gone2": tmp_path / "gone2",
        "/": tmp_path / "gone3",
    }
    containers = [_container(), _container("p-web-2")]
    await syncing.sync(cast(Any, engine), containers, files)
    assert engine.archives == [["app/a", "app/dir", "app/dangling"]] * 2
    assert engine.commands == [(("rm", "-rf", "--", "/app/gone", "/app/gone2"), "0")] * 2


async def test_a_removal_that_root_may_not_is_the_users(tmp_path: Path) -> None:
    engine = _Engine([1, 0])
    await syncing.sync(cast(Any, engine), [_container()], {"/x": tmp_path / "x"})
    assert [user for _, user in engine.commands] == ["0", ""]
    engine = _Engine([1, 1])
    with pytest.raises(StackrError, match="p-web-1: rm -rf /x exited with code 1: rm: no"):
        await syncing.sync(cast(Any, engine), [_container()], {"/x": tmp_path / "x"})


async def test_many_removals_are_several_commands(tmp_path: Path) -> None:
    engine = _Engine()
    files = {f"/{'x' * 200}{number}": tmp_path / "gone" for number in range(1000)}
    await syncing.sync(cast(Any, engine), [_container()], files)
    assert len(engine.commands) > 2
    assert sum(len(command) - 3 for command, _ in engine.commands) == 1000
    assert engine.archives == []
