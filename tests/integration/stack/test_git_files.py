"""Stack files as a revision of a real git repository has them."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.spec.load import LoadOptions, load
from stackr.spec.model.project import Project
from stackr.stack.git_files import GitFiles

Git = Callable[..., str]
_MOST = 1 << 20


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "repo"
    folder.mkdir()
    _git(folder, "init", "-q", "-b", "main")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "protocol.file.allow=always")
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def _commit(folder: Path, files: dict[str, str | None]) -> str:
    """Write files (None removes one), commit everything; the commit's name."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", "x")
    return _git(folder, "rev-parse", "HEAD")


@pytest.fixture
def at() -> Iterator[Callable[[Path, str], GitFiles]]:
    opened: list[GitFiles] = []

    def open_files(folder: Path, revision: str) -> GitFiles:
        opened.append(GitFiles.open(str(folder), revision))
        return opened[-1]

    yield open_files
    for files in opened:
        files.close()


At = Callable[[Path, str], GitFiles]


def _load(folder: Path, files: GitFiles, **options: tuple[str, ...]) -> Project:
    return load(LoadOptions(**options), {"HOME": "/"}, folder, files)  # type: ignore[arg-type]


def test_a_whole_project_is_read_from_a_revision(repository: Path, at: At) -> None:
    old = {
        "compose.yaml": "include: [inc/compose.yaml]\nservices:\n  a:\n    extends:"
        " {file: base.yaml, service: b}\n    env_file: a.env\n    label_file: l\n    secrets: [s]\n"
        "secrets: {s: {file: secret}}\n",
        "compose.override.yaml": "services: {a: {hostname: '${H}'}}",
        "base.yaml": "services: {b: {image: old}}",
        "inc/compose.yaml": "services: {i: {image: old-included}}",
        "a.env": "A=old\n",
        "l": "l=old\n",
        ".env": "H=old-host\n",
        "secret": "old secret",
    }
    _commit(repository, dict(old))
    _commit(repository, {**dict.fromkeys(old, "new: ["), "compose.override.yaml": None})
    files = at(repository, "HEAD~1")
    project = _load(repository, files)
    service = project.services["a"]
    assert (service.image, service.hostname) == ("old", "old-host")
    assert (service.environment, service.labels) == ({"A": "old"}, {"l": "old"})
    assert project.services["i"].image == "old-included"
    assert project.read(project.secrets["s"].file or "") == b"old secret"
    assert project.name == "repo"


def test_what_git_does_not_track_comes_from_the_work_tree(repository: Path, at: At) -> None:
    text = "services: {a: {image: '${TAG}', env_file: [{path: later.env, required: false}]}}"
    _commit(repository, {"compose.yaml": text, ".gitignore": ".env\n"})
    _commit(repository, {"later.env": "A=1\n", "later/x.yaml": ""})
    (repository / ".env").write_text("TAG=mine\n")
    (repository / "later" / ".env").write_text("B=2\n")
    files = at(repository, "HEAD~1")
    service = _load(repository, files).services["a"]
    assert (service.image, service.environment) == ("mine", {})
    assert not files.exists(f"{repository}/later")
    assert not files.exists(f"{repository}/later/x.yaml")
    assert files.read(f"{repository}/later/.env", _MOST) == b"B=2\n"
    with pytest.raises(FileNotFoundError, match="no such file or directory in HEAD~1"):
        files.read(f"{repository}/later.env", _MOST)


def test_links_are_those_of_the_revision(repository: Path, at: At, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("out")
    for link, target in {
        "file": "dir/real",
        "folder": "dir/../dir",
        "far": "../outside",
        "absolute": str(tmp_path / "outside"),
        "home": str(repository / "dir"),
        "loop": "loop",
        "pair": "loop/x",
        "above": f"../../{tmp_path.name}",
    }.items():
        (repository / link).symlink_to(target)
    _commit(repository, {"dir/real": "old"})
    (repository / "file").unlink()
    _commit(repository, {"file": "changed", "dir/real": "new"})
    files = at(repository, "HEAD~1")
    for name in ("file", "folder/real", "home/real", "dir/../folder/./real", "dir/real"):
        assert files.read(f"{repository}/{name}", _MOST) == b"old", name
    for name in ("far", "absolute", "above/repo/../outside"):
        assert files.read(f"{repository}/{name}", _MOST) == b"out", name
    assert files.is_folder(f"{repository}/folder")
    assert files.is_folder(f"{repository}/above")
    assert files.real(f"{repository}/folder/real") == f"{repository}/dir/real"
    for name in ("loop", "pair"):
        assert not files.exists(f"{repository}/{name}")
        with pytest.raises(OSError, match="symbolic links") as caught:
            files.read(f"{repository}/{name}", _MOST)
        assert caught.value.errno == errno.ELOOP


def test_a_repository_that_a_link_leads_to(repository: Path, at: At, tmp_path: Path) -> None:
    _commit(repository, {"stack/compose.yaml": "services: {a: {image: old}}"})
    _commit(repository, {"stack/compose.yaml": "services: {a: {image: new}}"})
    (tmp_path / "link").symlink_to(repository / "stack")
    project = _load(tmp_path / "link", at(tmp_path / "link", "HEAD~1"))
    assert (project.services["a"].image, project.name) == ("old", "link")


def test_files_outside_of_the_repository_are_the_hosts(
    repository: Path, at: At, tmp_path: Path
) -> None:
    _commit(repository, {"a": "x"})
    (tmp_path / "outside.env").write_text("X=1")
    files = at(repository, "HEAD")
    assert files.read(f"{tmp_path}/outside.env", _MOST) == b"X=1"
    assert files.is_folder(str(tmp_path))
    assert not files.exists(f"{tmp_path}/none")
    assert files.read("/dev/null", _MOST) == b""


def test_kinds_and_bounds(repository: Path, at: At) -> None:
    _commit(repository, {"dir/empty": "", "big": "0123456789" * 1000, "with\nline": "l"})
    files = at(repository, "HEAD")
    assert files.is_folder(f"{repository}/dir")
    assert files.is_folder(str(repository))
    assert not files.is_folder(f"{repository}/dir/empty")
    assert files.read(f"{repository}/big", 5) == b"01234"
    assert files.read(f"{repository}/dir/empty", 5) == b""
    assert files.read(f"{repository}/with\nline", 5) == b"l"
    assert len(files.read(f"{repository}/big", _MOST)) == 10_000
    with pytest.raises(IsADirectoryError):
        files.read(f"{repository}/dir", _MOST)


def test_submodules_are_read_at_the_commit_that_the_revision_names(
    repository: Path, at: At, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    _git(library, "init", "-q", "-b", "main")
    _commit(library, {"base.yaml": "services: {b: {image: old}}"})
    _git(repository, "submodule", "add", "-q", str(library), "lib")
    text = "services: {a: {extends: {file: lib/base.yaml, service: b}}}"
    _commit(repository, {"compose.yaml": text})
    _commit(repository / "lib", {"base.yaml": "services: {b: {image: new}}"})
    _commit(repository, {"other": ""})
    files = at(repository, "HEAD~1")
    assert _load(repository, files).services["a"].image == "old"
    assert files.exists(f"{repository}/lib/../compose.yaml")
    _git(repository, "submodule", "deinit", "-q", "-f", "lib")
    with pytest.raises(NotFound, match="lib: the submodule is not checked out") as caught:
        _load(repository, at(repository, "HEAD"))
    assert caught.value.hint == "git submodule update --init lib"


def test_revisions_and_folders_that_are_not_there(repository: Path, tmp_path: Path) -> None:
    _commit(repository, {"a": "1"})
    _commit(repository, {"a": "2"})
    for revision in ("no-such", "HEAD~5", "", "--help", "HEAD:nothing"):
        with pytest.raises(NotFound, match="no such revision") as caught:
            GitFiles.open(str(repository), revision)
        assert "a branch, a tag or a commit is expected" in (caught.value.hint or "")
    _git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    with pytest.raises(NotFound, match="no such revision: HEAD~1") as caught:
        GitFiles.open(str(tmp_path / "shallow"), "HEAD~1")
    assert "git fetch --unshallow" in (caught.value.hint or "")
    with pytest.raises(InvalidArgument, match="not a git repository"):
        GitFiles.open(str(tmp_path), "HEAD")
    _git(tmp_path, "clone", "-q", "--bare", str(repository), "bare")
    with pytest.raises(InvalidArgument, match="must be run in a work tree"):
        GitFiles.open(str(tmp_path / "bare"), "HEAD")


def test_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(StackrError, match="cannot run git: no such file"):
        GitFiles.open(str(repository), "HEAD")


def test_in_a_hook_of_git(repository: Path, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git sets GIT_DIR for its hooks, which would make any folder the root of the work tree."""
    _commit(repository, {"sub/compose.yaml": "services: {a: {image: old}}"})
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    assert _load(repository / "sub", at(repository / "sub", "HEAD")).services["a"].image == "old"


def test_no_process_is_left(repository: Path) -> None:
    _commit(repository, {"a": "1"})
    with GitFiles.open(str(repository), "HEAD") as files:
        files.read(f"{repository}/a", 1)
        process = files._repository.objects._process
    assert process.returncode == 0


def test_an_object_that_is_missing(repository: Path, at: At) -> None:
    commit = _commit(repository, {"a": "1"})
    blob = _git(repository, "rev-parse", f"{commit}:a")
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(StackrError, match=f"object {blob} cannot be read"):
        at(repository, "HEAD").read(f"{repository}/a", 1)


def test_a_small_file_is_read_whole(repository: Path, at: At) -> None:
    _commit(repository, {"conf": "12345", "folder/x": "", ".gitignore": "own\n"})
    _commit(repository, {"conf": "changed", "later": "12345"})
    (repository / "own").write_text("mine")
    files = at(repository, "HEAD~1")
    assert files.read_file(f"{repository}/conf", 5) == b"12345"
    assert files.read_file(f"{repository}/own", 5) == b"mine"
    for none in ("folder", "later", "nothing"):
        assert files.read_file(f"{repository}/{none}", 5) is None
    assert files.read_file(f"{repository}/conf", 4) is None
