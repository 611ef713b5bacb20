"""The first content of a volume: all of it or nothing, whenever it is interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.runtime.engine import volume_content
from stackr.runtime.engine.volume_content import recover


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "volume" / "_data"
    made.mkdir(parents=True)
    return made


def fill(folder: Path, copy: Callable[[int], bool], part: Path | None = None) -> None:
    fd = os.open(part or folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        volume_content.fill(folder, fd, copy)
    finally:
        os.close(fd)


def copies(*names: str, error: OSError | None = None) -> Callable[[int], bool]:
    def copy(fd: int) -> bool:
        target = Path(f"/proc/self/fd/{fd}")
        for name in names:
            (target / name).write_text(name)
        target.chmod(0o1777)
        if error is not None:
            raise error
        return bool(names)

    return copy


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(name)


def content(folder: Path) -> list[str]:
    assert os.listdir(folder.parent) == [folder.name], "nothing is left beside it"
    return sorted(os.listdir(folder))


def test_an_empty_volume_is_filled(folder: Path) -> None:
    fill(folder, copies("a", "b"))
    assert content(folder) == ["a", "b"]
    assert folder.stat().st_mode & 0o7777 == 0o1777


def test_what_has_content_is_left_alone(folder: Path) -> None:
    (folder / "own").touch()
    fill(folder, copies("a"))
    assert content(folder) == ["own"]


def test_nothing_to_copy(folder: Path) -> None:
    mode = folder.stat().st_mode
    fill(folder, copies())
    assert content(folder) == []
    assert folder.stat().st_mode == mode


def test_half_a_copy_is_none(folder: Path) -> None:
    with pytest.raises(OSError, match="full"):
        fill(folder, copies("a", error=OSError("full")))
    assert content(folder) == []
    fill(folder, copies("a", "b"))
    assert content(folder) == ["a", "b"]


@pytest.mark.parametrize(("left", "wanted"), [("_copying", []), ("_moving", ["a", "b"])])
def test_a_crash_is_undone_or_finished(folder: Path, left: str, wanted: list[str]) -> None:
    beside = folder.with_name(left)
    beside.mkdir()
    make(beside, "a", "b")
    recover(folder)
    assert content(folder) == wanted


def test_a_move_that_was_cut_off_keeps_what_is_there(folder: Path) -> None:
    beside = folder.with_name("_moving")
    beside.mkdir()
    make(beside, "a", "b")
    (folder / "a").write_text("newer")
    recover(folder)
    assert content(folder) == ["a", "b"]
    assert (folder / "a").read_text() == "newer"


def test_a_folder_in_a_volume_is_filled_alone(folder: Path) -> None:
    (folder / "own").touch()
    (folder / "part").mkdir()
    fill(folder, copies("a"), folder / "part")
    assert content(folder) == ["own", "part"]
    assert os.listdir(folder / "part") == ["a"]
    assert (folder / "part").stat().st_mode & 0o7777 == 0o1777


def test_what_a_container_makes_meanwhile_is_not_replaced(folder: Path) -> None:
    def copy(fd: int) -> bool:
        (folder / "a").write_text("newer")
        return copies("a", "b")(fd)

    fill(folder, copy)
    assert content(folder) == ["a", "b"]
    assert (folder / "a").read_text() == "newer"
