"""Having the kernel begin with what makes others wait who enter a control group."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackr.runtime.engine.linux.cgroup import Hierarchy
from stackr.runtime.engine.linux.cgroup_entry import EntryAhead, own_group

_V1 = "9:name=systemd:/\n4:cpu,cpuacct:/system.slice\n3:pids:/system.slice/x\n0::/other\n"


@pytest.mark.parametrize(
    ("trees", "membership", "found"),
    [
        (("pids",), _V1, "pids/system.slice/x"),
        (("cpuacct",), _V1, "cpuacct/system.slice"),
        (("memory",), _V1, None),
        ((), "0::/user.slice/a:b\n", "user.slice/a:b"),
        ((), "", None),
    ],
    ids=["v1", "v1, several in a tree", "v1, none of them", "v2", "none"],
)
def test_the_group_that_a_process_is_in(
    tmp_path: Path, trees: tuple[str, ...], membership: str, found: str | None
) -> None:
    is_v2 = not trees
    hierarchy = Hierarchy(tmp_path, is_v2, {name: tmp_path / name for name in trees}, None)
    assert own_group(hierarchy, membership) == (tmp_path / found if found else None)


async def test_the_process_enters_the_group_in_which_it_is(tmp_path: Path) -> None:
    membership, procs = tmp_path / "membership", tmp_path / "a" / "cgroup.procs"
    procs.parent.mkdir()
    procs.touch()
    membership.write_text("0::/a\n")
    EntryAhead(Hierarchy(tmp_path, True, {}, tmp_path), membership).begin()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert procs.read_text() == "0"


async def test_a_group_that_cannot_be_entered_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/no-group\n")
    (tmp_path / "no-group").mkdir()
    ahead = EntryAhead(Hierarchy(tmp_path, True, {}, tmp_path), membership)
    for _ in range(3):
        ahead.begin()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not caplog.records
    assert not list((tmp_path / "no-group").iterdir())
