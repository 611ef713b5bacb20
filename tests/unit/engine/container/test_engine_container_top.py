"""The processes of a container, as ps shows them."""

from __future__ import annotations

import os
import subprocess

import pytest

from stackr.errors import Internal
from stackr.runtime.engine.container.io.top import process_table

_NOBODY = 65534


@pytest.mark.root
@pytest.mark.parametrize("arguments", ["-o pid", "-o pid,comm", "-ef", "", "axf"])
async def test_processes_of_any_user_are_shown(arguments: str) -> None:
    with subprocess.Popen(["sleep", "1000"], user=_NOBODY) as other:
        try:
            titles, rows = await process_table({os.getpid(), other.pid}, arguments)
        finally:
            other.kill()
    column = titles.index("PID")
    assert {int(row[column]) for row in rows} == {os.getpid(), other.pid}


@pytest.mark.parametrize("arguments", ["-o comm", "-o nothing", "--nothing"])
async def test_what_ps_refuses_and_what_has_no_pids(arguments: str) -> None:
    with pytest.raises(Internal):
        await process_table({os.getpid()}, arguments)
