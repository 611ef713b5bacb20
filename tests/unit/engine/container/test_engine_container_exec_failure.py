"""Why a command in a container never ran, as the OCI runtime tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackr.runtime.engine.container.exec.executor import ExecLaunch


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (None, "no reason is known"),
        (b"", ""),
        (b"cannot parse \x9f\xff\n", "cannot parse \ufffd\ufffd"),  # a damaged file of its own
    ],
)
def test_what_the_runtime_quotes_may_be_no_text(
    tmp_path: Path, log: bytes | None, told: str
) -> None:
    launched: Any = None
    launch = ExecLaunch(launched, tmp_path, "true")
    if log is not None:
        (tmp_path / "log").write_bytes(log)
    failure = launch.failure()
    assert failure is not None
    assert told in failure.message
    (tmp_path / "pid").write_text("17")
    assert launch.failure() is None
