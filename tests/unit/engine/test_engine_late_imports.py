"""Parts that a daemon imports late, and a package that is upgraded under it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stackr.errors import Conflict
from stackr.runtime.engine.late_imports import LateImports


async def test_a_part_is_of_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "late_parts"
    package.mkdir()
    for name in ("__init__", "early", "late"):
        (package / f"{name}.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("late_parts", "late_parts.early", "late_parts.late"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    late = LateImports(package)
    early = await late.module("late_parts.early")
    assert early.A == 1

    (package / "early.py").write_text("A = 20\n")
    assert await late.module("late_parts.early") is early
    with pytest.raises(Conflict, match='"stackr engine restart" loads the new one'):
        await late.module("late_parts.late")
    assert "late_parts.late" not in sys.modules
