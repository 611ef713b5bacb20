"""`up` in the foreground: what containers write to their very end is shown."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from planning import service, stack, up

from stackr.cli.attached import run_attached
from stackr.cli.options import GlobalOptions
from stackr.cli.session import open_session
from stackr.cli.up_arguments import UpArguments
from stackr.planner.lifecycle import plan_stop
from stackr.planner.observed import observe
from stackr.planner.plan import Plan
from stackr.runtime.fake import FakeRuntime
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import LogEntry

_LATE_S = 0.1


class Talkative(FakeRuntime):
    """Each container says a word, and another when it ends, which comes after its end is known."""

    async def logs(self, ref: str, **window: Any) -> AsyncIterator[LogEntry]:
        yield LogEntry("stdout", b"up", 10**18)
        while self._find(ref).is_running:
            await asyncio.sleep(0)
        await asyncio.sleep(_LATE_S)
        yield LogEntry("stdout", b"bye", 10**18 + 1)


@pytest.mark.parametrize(("count", "ended"), [(1, 0), (2, 137)])
async def test_last_words_are_shown_after_a_signal(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    ended: int,
) -> None:
    """count: of signals, of which the second kills. ended: the container's exit code."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    runtime = Talkative.with_images("app")
    project = stack({"web": service()})

    async def start(engine: Runtime) -> int:
        await up(runtime, project)
        for _ in range(count):
            signal.raise_signal(signal.SIGINT)
        return 0

    async def stop(engine: Runtime) -> Plan:
        return plan_stop(await observe(engine, project.name))

    with open_session(GlobalOptions(engine=str(tmp_path), progress="quiet")) as session:
        code = await run_attached(
            session, runtime, "demo", UpArguments(), services=("web",), start=start, stop=stop
        )
    assert code == 130
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["web-1  | up", "web-1  | bye", f"web-1 exited with code {ended}"]
