"""Trees that are removed, several at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stackr.runtime.engine.linux.tree import remove_tree

_FOLDERS, _LEVELS, _TREES = 8, 3, 16


def _grow(root: Path, levels: int) -> Path:
    root.mkdir()
    for number in range(_FOLDERS if levels > 1 else 0):
        _grow(root / f"d{number}", levels - 1)
    (root / "file").write_text("")
    return root


def test_trees_of_one_folder_are_removed_side_by_side(tmp_path: Path) -> None:
    trees = [_grow(tmp_path / f"t{number}", _LEVELS) for number in range(_TREES)]
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(remove_tree, trees))
    assert os.listdir(tmp_path) == []


def test_what_an_interrupted_removal_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    left = tmp_path / ".wh..wh.aside.0"
    _grow(left, 2)
    remove_tree(_grow(tmp_path / "tree", _LEVELS))
    assert os.listdir(tmp_path) == [left.name]
    remove_tree(tmp_path)
    assert not tmp_path.exists()


def test_what_is_below_a_file_is_gone_already(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("damage")
    remove_tree(tmp_path / "file" / "below")
    remove_tree(tmp_path / "missing" / "below")
    assert (tmp_path / "file").read_text() == "damage"
