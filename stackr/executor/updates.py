"""What an update of replicas, one after the other, waits for: connections, time, a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stackr.errors import Conflict, NotFound, NotSupported
from stackr.executor.conditions import Watch, ring
from stackr.planner.plan.payloads import DrainContainer, Gate, MonitorContainer, PromoteContainer
from stackr.runtime.protocol import Runtime, SupportsHandover
from stackr.runtime.types import ContainerState

__all__ = ["drain", "monitor", "promote", "pronounce"]

_POLL_S = 0.1


async def promote(runtime: Runtime, payload: PromoteContainer) -> None:
    """Hand the ports and names over."""
    await _handover(runtime).promote_container(payload.ref, replaces=payload.replaces)


async def drain(runtime: Runtime, payload: DrainContainer, tell: Callable[[str], None]) -> str:
    """Return when nobody is connected any more, or the time is up; how many still are."""
    engine = _handover(runtime)
    left = 0
    try:
        async with asyncio.timeout(payload.timeout_s):
            while left := await engine.count_connections(payload.ref):
                tell(f"{left} connections")
                await asyncio.sleep(_POLL_S)
    except (NotFound, Conflict):
        return "already gone"
    except TimeoutError:
        return f"{left} connections are cut"
    return "no connections"


def _handover(runtime: Runtime) -> SupportsHandover:
    if not isinstance(runtime, SupportsHandover):
        raise NotSupported("update: this engine cannot hand ports from one container to another")
    return runtime


async def monitor(runtime: Runtime, payload: MonitorContainer, watch: Watch) -> None:
    """Raises Conflict if the container does not stay as it is for the whole time."""
    await watch.open()
    bell = watch.bell(payload.ref)
    first = await runtime.inspect_container(payload.ref)
    try:
        async with asyncio.timeout(payload.seconds):
            while True:
                bell.clear()
                _check_steady(first, await runtime.inspect_container(payload.ref), payload)
                await ring(bell, watch)
    except TimeoutError:
        return


def _check_steady(first: ContainerState, now: ContainerState, payload: MonitorContainer) -> None:
    said = ""
    if now.state in ("exited", "dead", "restarting"):
        said = f"it exited ({now.exit_code})"
    elif now.started_at != first.started_at:
        said = "it was restarted"
    elif now.health == "unhealthy":
        said = "it became unhealthy"
    if said:
        raise Conflict(f"container {payload.ref}: {said} while it was monitored")


def pronounce(payload: Gate, failed: set[str]) -> str:
    """What is said of an update so far. Raises Conflict where more failed than may."""
    if not failed:
        return "all well"
    names = ", ".join(sorted(failed))
    if len(failed) <= payload.tolerated:
        return f"failed, and tolerated: {names}"
    ends = {"rollback": "is rolled back", "pause": "stops here"}.get(payload.action, "ends")
    raise Conflict(f'the update of service "{payload.service}" {ends}: {names} failed')
