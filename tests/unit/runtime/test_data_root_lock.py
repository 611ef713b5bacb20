"""The lock of a data root: who holds it, and who only looks."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from stackr.errors import Unavailable
from stackr.runtime.engine.lock import DataRootLock, holder


def test_it_names_its_holder(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    lock = DataRootLock.acquire(tmp_path, timeout_s=0)
    assert holder(tmp_path) == os.getpid()
    with pytest.raises(Unavailable, match=f"is in use by process {os.getpid()}"):
        DataRootLock.acquire(tmp_path, timeout_s=0)
    lock.release()
    assert holder(tmp_path) is None


def test_who_looks_is_not_taken_for_a_holder(tmp_path: Path) -> None:
    DataRootLock.acquire(tmp_path, timeout_s=0).release()
    with (tmp_path / "engine.lock").open() as another:
        fcntl.flock(another, fcntl.LOCK_SH)  # what looking does, for a moment
        assert holder(tmp_path) is None
