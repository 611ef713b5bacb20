"""The modes of an engine's folders, whatever was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackr.runtime.engine.roots import close_to_others, make_root

pytestmark = pytest.mark.root


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_new_root_is_roots_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_root(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o755
    assert mode(tmp_path / "a" / "b") == 0o700


def test_an_earlier_versions_root_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "volumes" / "v").mkdir(parents=True)
    (root / "state.db").touch()
    for path, bits in ((root, 0o711), (root / "volumes", 0o711), (root / "state.db", 0o644)):
        path.chmod(bits)
    os.chown(root, 1000, 1000)
    make_root(root)
    assert [mode(root), mode(root / "volumes"), mode(root / "state.db")] == [0o700, 0o700, 0o600]
    assert (root.stat().st_uid, root.stat().st_gid) == (0, 0)


def test_a_folder_that_holds_more_keeps_its_mode(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "root"
    (root / "others").mkdir(parents=True)
    (root / "volumes").mkdir()
    (root / "bundles").symlink_to("nowhere")
    root.chmod(0o755)
    close_to_others(root)
    assert [mode(root), mode(root / "others"), mode(root / "volumes")] == [0o755, 0o755, 0o700]
    assert 'not closed to other users, as it holds "others", too' in caplog.text
