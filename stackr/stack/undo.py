"""Take back a change that failed: keep the logs of what it started, restore what was before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from stackr.errors import StackrError
from stackr.planner.commands.undo import plan_undo
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Operation
from stackr.planner.plan.payloads import Payload, StopContainer
from stackr.runtime.protocol import Runtime, SupportsLogs
from stackr.runtime.types import ContainerState
from stackr.stack.context import Context

__all__ = ["undo"]

_LOG_LINES = 10_000


async def undo(
    context: Context, runtime: Runtime, before: Observed, interrupted: Sequence[Operation] = ()
) -> int:
    """Bring the project back to what it was; the exit code of doing so, 0 where all of it is.

    interrupted: what had begun, and was not waited for.
    """
    await _see_stopped(runtime, [o.payload for o in interrupted])
    now = await observe(runtime, before.project, limits=True)
    was = {container.id for container in before.containers}
    await _keep_logs(context, runtime, [c for c in now.containers if c.id not in was], now.project)
    plan = plan_undo(before, now)
    context.message(f"going back: {before.project} as it was before")
    code = await context.run_plan(plan, runtime, advice="stackr up brings the stack in line")
    if not code:
        context.message(f"{before.project} is what it was before")
    return code


async def _see_stopped(runtime: Runtime, interrupted: Iterable[Payload]) -> None:
    """What has got its signal ends: one that still runs when we look would be gone in a moment."""
    stops = [each for each in interrupted if isinstance(each, StopContainer)]
    calls = (runtime.stop_container(each.ref, timeout_s=each.timeout_s) for each in stops)
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, StackrError):
            raise result


async def _keep_logs(
    context: Context, runtime: Runtime, containers: list[ContainerState], project: str
) -> None:
    """Save the output of containers that are about to go, and say where."""
    if not isinstance(runtime, SupportsLogs) or not containers:
        return
    stamp = time.strftime("%Y%m%dT%H%M%S")
    folder = _state_folder() / "failed" / f"{project}-{stamp}-{os.getpid()}"
    logs = await asyncio.gather(*(_log(runtime, container.id) for container in containers))
    written = [(c.name, log) for c, log in zip(containers, logs, strict=True) if log]
    if not written:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, log in written:
            (folder / f"{name}.log").write_bytes(log)
    except OSError as error:
        context.warning(f"logs are not kept: {folder}: {(error.strerror or '').lower()}")
        return
    context.message(f"logs of the failed containers: {folder}")


def _state_folder() -> Path:
    """Source: XDG Base Directory Specification, XDG_STATE_HOME."""
    given = os.environ.get("XDG_STATE_HOME")
    return (Path(given) if given else Path.home() / ".local" / "state") / "stackr"


async def _log(runtime: SupportsLogs, ref: str) -> bytes:
    lines = []
    with contextlib.suppress(StackrError):
        async for entry in runtime.logs(ref, tail=_LOG_LINES):
            lines.append(entry.line)
    return b"".join(line + b"\n" for line in lines)
