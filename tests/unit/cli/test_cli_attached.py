"""`up` in the foreground: what containers write to their very end is shown."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from fake_runtime import FakeRuntime
from planning import service, stack, up

from stackr.cli.attached import ShownOutput, run_attached, shown_output
from stackr.cli.options import GlobalOptions
from stackr.cli.session import open_session
from stackr.cli.up_arguments import UpArguments
from stackr.executor.operations import BeforeStart
from stackr.planner.commands.lifecycle import plan_stop
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import observe
from stackr.planner.plan.model import Plan
from stackr.runtime.protocol import Runtime, Streams
from stackr.runtime.types import LogEntry
from stackr.spec.model.service import Logging
from stackr.stack.attached_output import output_lines

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

    async def start(engine: Runtime, before_start: BeforeStart) -> int:
        await up(runtime, project)
        for _ in range(count):
            signal.raise_signal(signal.SIGINT)
        return 0

    async def stop(engine: Runtime) -> Plan:
        return plan_stop(await observe(engine, project.name))

    with open_session(GlobalOptions(engine=str(tmp_path), progress="quiet")) as session:
        code = await run_attached(
            session,
            runtime,
            "demo",
            UpArguments(),
            services=("web",),
            output=ShownOutput(frozenset({"web"})),
            start=start,
            stop=stop,
        )
    assert code == 130
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["web-1  | up", "web-1  | bye", f"web-1 exited with code {ended}"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (UpArguments(), {"web", "mute"}),
        (UpArguments(attach=("quiet",)), {"quiet"}),
        (UpArguments(attach=("quiet", "web"), no_attach=("web",)), {"quiet"}),
        (UpArguments(no_attach=("web", "mute")), set()),
    ],
)
def test_what_is_shown(arguments: UpArguments, shown: set[str]) -> None:
    wanted = desired(
        stack(
            {
                "web": service(attach=True),
                "quiet": service(attach=False),
                "mute": service(logging=Logging(driver="none")),
            }
        )
    ).services
    output = shown_output(wanted, tuple(wanted), arguments)
    assert output.services == shown
    assert output.unlogged == shown & {"mute"}


async def test_lines_of_streams_are_whole() -> None:
    class Pieces:
        async def output(self) -> AsyncIterator[tuple[str, bytes]]:
            for piece in (b"o", b"ne\ntwo\nthr", b"ee"):
                yield "stdout", piece
                yield "stderr", piece[:1]

    entries = [entry async for entry in output_lines(cast("Streams", Pieces()))]
    assert [(entry.stream, entry.line) for entry in entries] == [
        ("stdout", b"one"),
        ("stdout", b"two"),
        ("stdout", b"three"),
        ("stderr", b"one"),
    ]
