"""Control groups: figures that are written under the name that the host has."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.limits.groups import Groups
from stackr.runtime.engine.container.settings.spec import HostConfig
from stackr.runtime.engine.linux.cgroup import INHERITED, Hierarchy, detect
from stackr.runtime.engine.state import State


@pytest.fixture
def v1(tmp_path: Path) -> Hierarchy:
    for tree in ("cpuset", "blkio"):
        (tmp_path / tree / "a" / "b").mkdir(parents=True)
    (tmp_path / "cpuset" / "a" / "cpuset.cpus").write_text("0-3\n")
    (tmp_path / "cpuset" / "a" / "b" / "cpuset.cpus").write_text("1\n")
    (tmp_path / "blkio" / "a" / "b" / "blkio.bfq.weight").write_text("100\n")
    trees = {name: tmp_path / name for name in ("cpuset", "blkio")}
    return Hierarchy(tmp_path, False, trees, None)


def test_a_figure_is_inherited_from_the_group_above(v1: Hierarchy, tmp_path: Path) -> None:
    v1.write("/a/b", "cpuset", "cpuset.cpus", INHERITED)
    assert (tmp_path / "cpuset" / "a" / "b" / "cpuset.cpus").read_text() == "0-3\n"


@pytest.fixture
def v2(tmp_path: Path) -> Hierarchy:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "cpuset.cpus").write_text("\n")
    (tmp_path / "a" / "cpuset.cpus.effective").write_text("0-3\n")
    (inner / "cpuset.cpus").write_text("1\n")
    return Hierarchy(tmp_path, True, {}, tmp_path)


def test_a_set_is_inherited_as_it_is_in_effect_above(v2: Hierarchy, tmp_path: Path) -> None:
    v2.write("/a/b", "cpuset", "cpuset.cpus", INHERITED)
    assert (tmp_path / "a" / "b" / "cpuset.cpus").read_text() == "0-3\n"


def test_processes_of_groups_below_count(v2: Hierarchy, v1: Hierarchy, tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "a/b", "a/b/c", "cpuset/a", "blkio/a/b"), start=1):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.procs").write_text(f"{number}\n{number}0\n")
    assert v2.pids("/a") == {1, 10, 2, 20, 3, 30}
    assert v2.pids("/a/b") == {2, 20, 3, 30}
    assert v1.pids("/a") == {4, 40, 5, 50}
    assert v2.pids("/nowhere") == set()


def test_a_group_is_killed_whole_by_the_kernel(v2: Hierarchy, tmp_path: Path) -> None:
    (tmp_path / "a" / "cgroup.kill").touch()
    v2.kill("/a")
    assert (tmp_path / "a" / "cgroup.kill").read_text() == "1"
    v2.kill("/nowhere")


def test_kills_below_a_group_of_v1_are_added_up(tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "a/b", "a/b/c"), start=1):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "memory.oom_control").write_text(f"under_oom 0\noom_kill {number}\n")
    assert Hierarchy(tmp_path, False, {"memory": tmp_path}, None).oom_kills("/a") == 6


def test_figures_that_the_host_has_not_are_passed_over(v1: Hierarchy) -> None:
    v1.write("/a/b", "cpuset", "cpuset.nothing", "1")
    v1.write("/a/b", "memory", "memory.limit_in_bytes", "1")


def test_the_first_name_that_is_there_is_written(v1: Hierarchy, tmp_path: Path) -> None:
    v1.write_first("/a/b", "blkio", [("blkio.weight", "200"), ("blkio.bfq.weight", "300")])
    assert (tmp_path / "blkio" / "a" / "b" / "blkio.bfq.weight").read_text() == "300"
    with pytest.raises(FileNotFoundError):
        v1.write_first("/a/b", "blkio", [("blkio.weight", "300")])


def test_a_kernel_of_v2_without_swap_is_known(v2: Hierarchy, tmp_path: Path) -> None:
    assert v2.swap_limit  # no group tells otherwise
    (tmp_path / "a" / "memory.max").touch()
    assert not v2.swap_limit
    (tmp_path / "a" / "memory.swap.max").touch()
    assert v2.swap_limit


def mounted(*lines: tuple[Path, str, str]) -> str:
    """Lines of mountinfo: target, type, options of the file system."""
    return "".join(f"1 2 0:3 / {at} rw - {kind} {kind} {how}\n" for at, kind, how in lines)


def test_what_the_kernel_lacks_is_known_of_each_layout(tmp_path: Path) -> None:
    mounts, root = tmp_path / "mountinfo", tmp_path / "cgroup"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpuset cpu io pids rdma\n")
    mounts.write_text(mounted((root, "cgroup2", "rw,nsdelegate")))
    found = detect(mounts, root)
    assert found.is_v2
    assert found.lacks == {"memory"}
    trees = (root / "cpu", "cgroup", "rw,cpu"), (root / "memory", "cgroup", "rw,memory")
    mounts.write_text(mounted(*trees, (root / "unified", "cgroup2", "rw")))
    found = detect(mounts, root)
    assert (found.is_v2, found.unified) == (False, root / "unified")
    assert found.lacks == {"cpuset", "pids", "blkio"}


@pytest.mark.parametrize(
    ("given", "parent"),
    [
        ("", "/stackr"),
        ("team", "/stackr/team"),
        ("./team//a/", "/stackr/team/a"),
        ("/team/a", "/team/a"),
        ("//team/", "/team"),
        ("/", "/"),
    ],
)
def test_a_parent_is_the_hosts_or_below_the_engines(
    v1: Hierarchy, tmp_path: Path, given: str, parent: str
) -> None:
    state = State.open(tmp_path / "state.db")
    try:
        groups = Groups(EngineConfig(), v1, state)
        assert groups.parent(HostConfig(cgroup_parent=given)) == parent
    finally:
        state.close()
