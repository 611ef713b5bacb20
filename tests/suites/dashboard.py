"""The dashboard on an engine of the test's own making, without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_runtime import FakeRuntime
from pictures import rows

from stackr.errors import StackrError
from stackr.runtime.types import ContainerStats, LogEntry
from stackr.spec.session import LoadOptions
from stackr.stack.context import Context
from stackr.stack.events import Report, ignore
from stackr.stack.live import LiveStack
from stackr.stack.live_host import HostStack
from stackr.stack.source import Source
from stackr.stack.stack import Stack
from stackr.ui.app import Dashboard
from stackr.ui.target import Target

__all__ = ["MeasuredEngine", "target_of", "texts", "until"]

_PATIENCE = 400


class MeasuredEngine(FakeRuntime):
    """With logs, which are what `written` says, by the container's name, and with loads."""

    written: dict[str, list[str]]

    async def wait_container(self, ref: str, condition: str = "not-running") -> int:
        while self._find(ref).is_running:
            await asyncio.sleep(0.02)
        return self._find(ref).exit_code or 0

    async def logs(self, ref: str, **window: Any) -> AsyncIterator[LogEntry]:
        container = self._find(ref)
        since_ns = (window.get("since") or 0) * 1e9
        for at, text in enumerate(self.written.get(container.name, []), 1):
            if at * 10**9 >= since_ns:
                yield LogEntry("stdout", text.encode(), at * 10**9)
        if window.get("follow"):
            await self.wait_container(ref)

    async def stats(self, ref: str, *, stream: bool = True) -> AsyncIterator[ContainerStats]:
        yield ContainerStats(cpu_percent=12.4, memory_bytes=23 << 20)
        await self.wait_container(ref)


@dataclass(frozen=True, slots=True)
class _StackOn(Stack):
    """A stack whose engine is this one, unless `gone` says why it is not."""

    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    gone: list[StackrError] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def open(
        self, *, report: Report = ignore, read_only: bool = False, start: bool = True
    ) -> AsyncIterator[LiveStack]:
        if self.gone:
            raise self.gone[0]
        context = Context(None, report)
        yield HostStack(self.source, self.name, self.project, context, self.runtime)


def target_of(
    folder: Path, text: str, runtime: FakeRuntime, gone: list[StackrError] | None = None
) -> Target:
    """The stack "demo" of a file with this text."""
    (folder / "compose.yaml").write_text(textwrap.dedent(text))
    source = Source(LoadOptions(("compose.yaml",), project_name="demo"), {}, folder)
    stack = _StackOn("demo", source, source.load(), None, runtime, [] if gone is None else gone)
    return Target(stack, lambda service, number: ["true"])


def texts(app: Dashboard) -> str:
    """All that is on the screen, line by line."""
    return "\n".join(rows(app.export_screenshot()))


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    """Let the dashboard go on until this is so."""
    for _ in range(_PATIENCE):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(texts(pilot.app))
