"""The root of the control groups made ready: what is asked of the kernel, and what is told."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.cgroup import Hierarchy
from stackr.runtime.engine.linux.delegation import delegate


class Tree:
    """A folder that answers as the kernel does: busy while the root has processes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.members = {"7", "8"}
        self.moved: set[str] = set()
        self.enabled: list[str] = []
        self.refuses = 0
        (root / "cgroup.type").write_text("domain\n")
        (root / "cgroup.controllers").write_text("cpu memory pids\n")
        (root / "cgroup.subtree_control").write_text("pids\n")
        self.fill()
        monkeypatch.setattr(Path, "write_text", lambda path, text: self._write(path, text))

    def fill(self) -> None:
        with (self.root / "cgroup.procs").open("w") as file:
            file.write("".join(f"{pid}\n" for pid in sorted(self.members)))

    def _write(self, path: Path, text: str) -> int:
        if self.refuses:
            raise OSError(self.refuses, "refused")
        if path.name == "cgroup.procs":
            self.members.discard(text)
            self.moved.add(text)
            self.fill()
        elif self.members:
            raise OSError(errno.EBUSY, "busy")
        else:
            self.enabled.append(text)
        return len(text)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def v2(root: Path) -> Hierarchy:
    return Hierarchy(root, True, {}, root)


def test_processes_go_to_a_leaf_and_controllers_are_handed_on(tree: Tree) -> None:
    delegate(v2(tree.root))
    assert tree.moved == {"7", "8"}
    assert tree.enabled == ["+cpu", "+memory"]
    assert (tree.root / "init").is_dir()


def test_nothing_is_moved_where_all_is_handed_on_already(tree: Tree) -> None:
    (tree.root / "cgroup.controllers").open("w").close()
    delegate(v2(tree.root))
    assert (tree.moved, tree.enabled) == (set(), [])


def test_the_hosts_own_root_is_left_as_it_is(tree: Tree) -> None:
    (tree.root / "cgroup.type").unlink()
    delegate(v2(tree.root))
    assert (tree.moved, tree.enabled) == (set(), [])


def test_processes_that_cannot_be_moved_are_told(tree: Tree) -> None:
    tree.members = {"0"}  # of another process namespace
    tree.fill()
    with pytest.raises(Unavailable, match="holds processes that cannot be moved"):
        delegate(v2(tree.root))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_tree_that_cannot_be_written_is_told(tree: Tree, number: int) -> None:
    tree.members, tree.refuses = set(), number
    tree.fill()
    with pytest.raises(Unavailable, match="no groups can be made in it: refused") as error:
        delegate(v2(tree.root))
    assert "privileged" in (error.value.hint or "")


def test_a_controller_that_the_kernel_refuses_is_done_without(tree: Tree) -> None:
    tree.members, tree.refuses = set(), errno.EINVAL
    tree.fill()
    delegate(v2(tree.root))
    assert tree.enabled == []


def test_a_host_without_control_groups_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no control groups are mounted there") as error:
        delegate(Hierarchy(tmp_path, False, {}, None))
    assert error.value.hint == f"mount -t cgroup2 cgroup2 {tmp_path}"
