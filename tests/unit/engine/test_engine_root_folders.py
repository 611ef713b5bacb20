"""The engine's own folders, where a damaged disk has put something else in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.runtime.engine.lock import DataRootLock, holder
from stackr.runtime.engine.roots import make_folder


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


def test_a_folder_is_nobodys_lock(tmp_path: Path) -> None:
    (tmp_path / "engine.lock").mkdir()
    assert holder(tmp_path) is None
    lock = DataRootLock.acquire(tmp_path, timeout_s=0)
    assert (tmp_path / "engine.lock").is_file()
    lock.release()
