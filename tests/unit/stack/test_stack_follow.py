"""`logs -f`: merged first lines, what takes a container's place; what came before a second `up`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from fake_runtime import Behaviour, FakeRuntime
from planning import service, stack, up

from stackr.runtime.types import LogEntry
from stackr.spec.model.deploy import Deploy
from stackr.spec.model.service import InitStep
from stackr.stack.log_read import LogWindow
from stackr.stack.log_request import LogRequest, show_logs
from stackr.stack.logs import Supervisor


class Engine(FakeRuntime):
    """Containers write what `written` says, by name; a follower hears of no more until the end."""

    written: dict[str, list[tuple[int, str]]]

    async def logs(self, ref: str, **window: Any) -> AsyncIterator[LogEntry]:
        name = re.sub("^[0-9a-f]{12}_", "", self._find(ref).name)
        lines = self.written.get(name, [])
        since_ns = (window.get("since") or 0) * 1e9
        lines = [(time_ns, text) for time_ns, text in lines if time_ns >= since_ns]
        tail = window.get("tail")
        for time_ns, text in lines if tail is None else lines[len(lines) - tail :]:
            yield LogEntry("stdout", text.encode(), time_ns)
        while window.get("follow") and ref in self.containers and self._find(ref).is_running:
            await asyncio.sleep(0.01)


@dataclass
class Lines:
    """A sink that keeps what is told."""

    shown: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def register(self, names: Iterable[str]) -> None:
        return

    def line(self, name: str, text: str, *, is_error: bool = False, moment: str = "") -> None:
        self.shown.append(f"{name} {text}")
        self.came.set()

    def status(self, name: str, text: str) -> None:
        return

    def problem(self, name: str, text: str) -> None:
        return

    async def until(self, line: str) -> None:
        async with asyncio.timeout(30):
            while line not in self.shown:
                self.came.clear()
                await self.came.wait()


def engine(**written: list[tuple[int, str]]) -> Engine:
    runtime = Engine.with_images("app", "app:2")
    runtime.written = {f"demo-{name}-1": lines for name, lines in written.items()}
    return runtime


async def test_the_first_lines_of_a_follower_are_in_the_order_of_their_times() -> None:
    second = 10**9
    runtime = engine(
        a=[(1 * second, "old"), (2 * second, "one"), (4 * second, "three")],
        b=[(3 * second, "two"), (5 * second, "four")],
    )
    await up(runtime, stack({"a": service(), "b": service()}))
    lines = Lines()
    work = asyncio.ensure_future(show_logs(runtime, "demo", LogRequest(follow=True, tail=2), lines))
    await lines.until("b-1 four")
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert lines.shown == ["a-1 one", "b-1 two", "a-1 three", "b-1 four"]


async def test_a_follower_goes_on_with_what_takes_the_place_and_with_new_replicas() -> None:
    runtime = engine(web=[(10**9, "first")])
    await up(runtime, stack({"web": service()}))
    lines = Lines()
    request = LogRequest(services=("web",), follow=True)
    work = asyncio.ensure_future(show_logs(runtime, "demo", request, lines))
    await lines.until("web-1 first")
    runtime.written["demo-web-1"] = [(2 * 10**9, "second")]
    await up(runtime, stack({"web": service(image="app:2")}))
    await lines.until("web-1 second")
    runtime.written["demo-web-2"] = [(3 * 10**9, "another")]
    await up(runtime, stack({"web": service(image="app:2", deploy=Deploy(replicas=2))}))
    await lines.until("web-2 another")
    assert not work.done()
    for container in [*runtime.containers.values()]:
        await runtime.stop_container(container.id)
    async with asyncio.timeout(30):
        await work
    assert list(dict.fromkeys(lines.shown)) == ["web-1 first", "web-1 second", "web-2 another"]


async def test_steps_are_shown_and_their_end_is_not_waited_for() -> None:
    runtime = engine(web=[(10**9, "runs")])
    runtime.written["demo-web-pre_start.0"] = [(10**9, "migrated")]
    runtime.behaviours = {"demo-web-pre_start.0": Behaviour()}
    ended: list[str] = []
    lines = Lines()
    supervisor = Supervisor(runtime, "demo", lines, exited=lambda end: ended.append(end.name))
    await supervisor.open()
    project = stack({"web": service(pre_start=(InitStep(command=("x",)),))})
    work = asyncio.ensure_future(up(runtime, project))
    await lines.until("web-pre_start.0 migrated")
    await runtime.stop_container("demo-web-pre_start.0")
    await work
    await lines.until("web-1 runs")
    await runtime.stop_container("demo-web-1")
    async with asyncio.timeout(30):
        await supervisor.ended()
    await supervisor.close()
    assert ended == ["demo-web-1"]
    assert set(lines.shown) == {"web-pre_start.0 migrated", "web-1 runs"}


async def test_nothing_of_a_former_run_is_shown() -> None:
    """However late its last line was written down, beside the time of its end."""
    runtime = engine(web=[(10**18, "of the former run")])
    await up(runtime, stack({"web": service()}))
    [container] = runtime.containers.values()
    await runtime.stop_container(container.id)
    lines = Lines()
    supervisor = Supervisor(runtime, "demo", lines, services=("web",))
    await supervisor.open()
    runtime.written["demo-web-1"].append((10**18 + 1, "of this run"))
    await runtime.start_container(container.id)
    await lines.until("web-1 of this run")
    await supervisor.close()
    assert lines.shown == ["web-1 of this run"]


async def test_no_line_is_shown_twice_after_a_replay() -> None:
    runtime = engine(web=[(10**9, "a"), (10**9, "b"), (2 * 10**9, "c")])
    await up(runtime, stack({"web": service()}))
    lines = Lines()
    supervisor = Supervisor(runtime, "demo", lines)
    await supervisor.open(LogWindow())
    await supervisor.replay(LogWindow())
    runtime.written["demo-web-1"].append((3 * 10**9, "d"))
    await supervisor.supervise_running()
    await lines.until("web-1 d")
    await supervisor.close()
    assert lines.shown == ["web-1 a", "web-1 b", "web-1 c", "web-1 d"]


async def test_what_a_step_that_failed_has_written_is_in_the_logs() -> None:
    runtime = engine()
    runtime.written["demo-web-pre_start.0"] = [(10**9, "no luck")]
    runtime.behaviours = {"demo-web-pre_start.0": Behaviour(exit_code=1)}
    await up(runtime, stack({"web": service(pre_start=(InitStep(command=("x",)),))}))
    lines = Lines()
    await show_logs(runtime, "demo", LogRequest(services=("web",)), lines)
    assert lines.shown == ["web-pre_start.0 no luck"]
    supervisor = Supervisor(runtime, "demo", lines)
    await supervisor.open()
    await supervisor.supervise_running()
    await supervisor.ended()
    await supervisor.close()
    assert lines.shown == ["web-pre_start.0 no luck"]
