"""Whether a warm server sees that its code is not the installed one any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.warm.code_state import CodeState


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    for name in ("__init__.py", "inner/__init__.py", "inner/part.py"):
        (tmp_path / name).write_text("value = 1\n")
    return tmp_path


def _written_in_place(package: Path) -> None:
    path = package / "inner/part.py"
    folder = path.parent.stat()
    path.write_text("value = 22\n")
    os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))


def _replaced(package: Path) -> None:
    new = package / "inner/new"
    new.write_text("value = 22\n")
    new.rename(package / "inner/part.py")


def _added(package: Path) -> None:
    (package / "inner/more.py").write_text("")


def _added_folder(package: Path) -> None:
    (package / "other").mkdir()
    (package / "other/part.py").write_text("")


def _removed(package: Path) -> None:
    (package / "inner/part.py").unlink()


def _taken_away(package: Path) -> None:
    package.rename(package.with_name("elsewhere"))


@pytest.mark.parametrize(
    "change", [_written_in_place, _replaced, _added, _added_folder, _removed, _taken_away]
)
def test_a_change_is_seen(package: Path, change: Callable[[Path], None]) -> None:
    code = CodeState(str(package))
    assert code.is_current()
    change(package)
    assert not code.is_current()
    assert not code.is_current()


def test_a_file_that_was_not_imported_counts_by_its_name(package: Path) -> None:
    code = CodeState(str(package))
    code.keep({str(package / "inner/__init__.py")})
    _written_in_place(package)
    assert code.is_current()
    _added(package)
    assert not code.is_current()


def test_an_imported_file_counts(package: Path) -> None:
    code = CodeState(str(package))
    code.keep({str(package / "inner/part.py")})
    _written_in_place(package)
    assert not code.is_current()


def test_bytecode_is_no_change(package: Path) -> None:
    """The first import by another program writes it, into a folder that it makes."""
    code = CodeState(str(package))
    (package / "inner/__pycache__").mkdir()
    (package / "inner/__pycache__/part.pyc").write_bytes(b"")
    assert code.is_current()
    _written_in_place(package)
    assert not code.is_current()
