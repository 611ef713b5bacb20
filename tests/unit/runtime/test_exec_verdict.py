"""Whether a program in a container ever began: what the OCI runtime tells late is waited for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from stackr.runtime.engine.container.exec.executor import _verdict
from stackr.runtime.engine.container.exec.session import ExecSession
from stackr.runtime.engine.container.settings.spec import ExecCreate

_SLOW_S = 1.2


def _under_way() -> tuple[ExecSession, Any, asyncio.Task[str]]:
    container: Any = None
    session = ExecSession("id", container, ExecCreate(cmd=["program"]))
    launch: Any = SimpleNamespace(pid=0)
    return session, launch, asyncio.create_task(_verdict(session, launch))


async def test_the_reason_comes_late() -> None:
    session, _, verdict = _under_way()
    done, _ = await asyncio.wait({verdict}, timeout=_SLOW_S)
    assert not done
    session.error = "no such file"
    session.ended.set()
    assert await verdict == "no such file"


async def test_a_program_that_begins_late_is_not_waited_for_to_its_end() -> None:
    session, launch, verdict = _under_way()
    await asyncio.sleep(0)
    launch.pid = 7
    assert await asyncio.wait_for(verdict, 10) == ""
    assert not session.ended.is_set()
