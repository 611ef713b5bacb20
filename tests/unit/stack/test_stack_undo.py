"""Going back to what was before, from a change that was interrupted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fake_runtime import FakeRuntime
from planning import plan_for, service, stack, up

from stackr.executor.apply import apply
from stackr.executor.outcome import Outcome
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import UpOptions
from stackr.stack.context import Context
from stackr.stack.undo import undo


@dataclass(slots=True)
class _SlowToStop(FakeRuntime):
    """Containers end some time after they were told to, whether the caller waits or not."""

    told: asyncio.Event = field(default_factory=asyncio.Event)
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    ending: list[asyncio.Task[None]] = field(default_factory=list)

    async def stop_container(self, ref: str, **options: Any) -> None:
        async def end() -> None:
            await self.ends.wait()
            await FakeRuntime.stop_container(self, ref, **options)

        self.ending.append(asyncio.create_task(end()))
        self.told.set()
        await asyncio.shield(self.ending[-1])


async def test_what_was_told_to_stop_runs_again() -> None:
    runtime = _SlowToStop.with_images("app")
    await up(runtime, stack({"web": service()}))
    before = await observe(runtime, "demo", limits=True)
    project = stack({"web": service(user="x")})
    plan = plan_for(
        project, await observe(runtime, "demo", desired(project)), UpOptions(atomic=True)
    )
    outcome = Outcome(plan)
    change = asyncio.create_task(apply(plan, runtime, lambda event: None, outcome=outcome))
    await runtime.told.wait()
    change.cancel()
    await asyncio.wait([change])
    asyncio.get_running_loop().call_later(0.05, runtime.ends.set)
    assert await undo(Context(), runtime, before, outcome.interrupted) == 0
    await asyncio.gather(*runtime.ending)
    [web] = (await observe(runtime, "demo")).containers
    assert (web.id, web.state) == (before.containers[0].id, "running")
