"""Every call that changes something, and what is listed and inspected before and after it, is
answered as Docker's API description says. `pytest --described` asks this of whole runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from changing_calls import CALLS, made_whole, new_site
from recorded_answers import judge, recorded

from stackr.runtime.engine.config import EngineConfig

pytestmark = pytest.mark.root

_RECORDING = Path(__file__).parents[2] / "recording"
_ASKED = ("version", "info", "system/df", "containers/none/json", "images/none/json")


def test_calls_are_answered_as_described(
    new_engine: Callable[[], EngineConfig],
    registry: str,
    busybox_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    paths = (str(_RECORDING), os.environ.get("PYTHONPATH", ""))
    with monkeypatch.context() as daemons:
        daemons.setenv("STACKR_TEST_RECORD", str(folder))
        daemons.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        site = new_site(new_engine(), registry, busybox_image, tmp_path)
    for path in _ASKED:
        site.ask("GET", f"/{path}")
    for call in CALLS:
        made_whole(site, call)
    verdict = judge(recorded(folder))
    assert verdict.judged > len(_ASKED) + len(CALLS)
    assert not verdict.differences
