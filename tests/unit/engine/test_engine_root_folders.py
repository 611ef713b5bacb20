"""What a damaged disk has put in the place of the engine's own folders and files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.runtime.engine.identity import engine_id
from stackr.runtime.engine.lock import DataRootLock, holder
from stackr.runtime.engine.roots import close_to_others, make_folder, make_way


@pytest.mark.parametrize("name", ["snapshots", "snapshots/l", "snapshots/l/empty"])
def test_a_file_in_a_folders_place_is_kept_beside_it(tmp_path: Path, name: str) -> None:
    damaged = tmp_path / name
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_text("lost")
    for _ in range(2):
        make_folder(tmp_path / "snapshots" / "l" / "empty", 0o700)
    assert (tmp_path / "snapshots" / "l" / "empty").stat().st_mode & 0o777 == 0o700
    assert damaged.with_name(f"{damaged.name}.damaged").read_text() == "lost"


def test_a_folder_may_be_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "volumes").symlink_to("disk")
    (tmp_path / "content").symlink_to("not-mounted")
    make_folder(tmp_path / "volumes" / "a")
    assert (tmp_path / "disk" / "a").is_dir()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "content")
    assert (tmp_path / "content").is_symlink()


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "lost").write_text("found")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("damage", [_folder, _loop])
def test_what_is_no_file_makes_way(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    place = tmp_path / "engine.log"
    for aside in ("engine.log.damaged", "engine.log.damaged1"):
        damage(place)
        make_way(place)
        place.write_text("own")
        assert os.path.lexists(tmp_path / aside)
        place.unlink()
    close_to_others(tmp_path)


def test_a_file_may_be_on_another_disk(tmp_path: Path) -> None:
    for name in ("real", "not-mounted"):
        (tmp_path / f"to-{name}").symlink_to(name)
    (tmp_path / "real").touch()
    for name in ("to-real", "to-not-mounted", "missing"):
        make_way(tmp_path / name)
    assert (tmp_path / "to-real").is_symlink()
    assert (tmp_path / "to-not-mounted").is_symlink()


@pytest.mark.parametrize("damage", [_folder, _loop])
def test_what_is_no_file_is_nobodys_lock(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for name in ("engine.lock", "state.db"):
        damage(tmp_path / name)
    assert holder(tmp_path) is None
    lock = DataRootLock.acquire(tmp_path, timeout_s=0)
    assert (tmp_path / "engine.lock").is_file()
    lock.release()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: None,
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(b"\xff\x00garbage"),
        _folder,
        _loop,
    ],
    ids=["missing", "empty", "garbage", "folder", "loop"],
)
def test_an_engine_whose_name_is_damaged_gets_another(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(tmp_path / "engine-id")
    was_there = os.path.lexists(tmp_path / "engine-id")
    name = engine_id(tmp_path)
    assert len(name) == 36
    assert (f"the engine is {name}" in caplog.text) is was_there
    assert engine_id(tmp_path) == name
