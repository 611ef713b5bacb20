"""Runs a step of `pre_start`: a container from its start to its end, whose code has to be 0."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from stackr.errors import Conflict, DeadlineExceeded, NotFound, StackrError
from stackr.planner.plan.payloads import RunStep
from stackr.runtime.container import ContainerConfig
from stackr.runtime.protocol import Runtime

__all__ = ["run_step"]


async def run_step(
    runtime: Runtime,
    payload: RunStep,
    config: ContainerConfig,
    before_start: Callable[[str], Awaitable[None]],
) -> None:
    """Return once it has ended well; one that did not is kept, to be looked at, until the next up.

    config: of the container, with whose volumes it has. before_start: is told of it, and waited
    for. When cancelled, the container goes. Raises Conflict for another code than 0, and
    DeadlineExceeded after the payload's time, when it goes on.
    """
    ref = payload.running or await runtime.create_container(payload.name, config)
    try:
        if not payload.running:
            await _start(runtime, ref, payload.name, before_start)
        async with asyncio.timeout(payload.timeout_s):
            code = await runtime.wait_container(ref)
    except asyncio.CancelledError:
        await _remove(runtime, ref)
        raise
    except TimeoutError:
        raise DeadlineExceeded(
            f"pre_start[{payload.index}] has not ended after {payload.timeout_s:g} s",
            hint=f"{payload.name} goes on: the next stackr up waits for it, stackr down ends it",
        ) from None
    if code:
        raise Conflict(f"pre_start[{payload.index}] exited with code {code}")


async def _start(
    runtime: Runtime, ref: str, name: str, before_start: Callable[[str], Awaitable[None]]
) -> None:
    """One that cannot be started is of no use to anybody."""
    try:
        await before_start(name)
        await runtime.start_container(ref)
    except StackrError:
        with contextlib.suppress(StackrError):
            await _remove(runtime, ref)
        raise


async def _remove(runtime: Runtime, ref: str) -> None:
    with contextlib.suppress(NotFound):
        await runtime.remove_container(ref, force=True, volumes=True)
