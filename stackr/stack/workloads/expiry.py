"""Stacks on a cluster whose time is up: whoever comes next takes them away.

A cluster keeps until when a stack is to be there, and does nothing about it. So each `up`, `test`,
`down` and `ls` looks, of whichever client.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from stackr.errors import StackrError
from stackr.runtime.workloads import Expiry, Workloads
from stackr.stack.context import Context
from stackr.stack.workloads.removal import remove_stack

__all__ = ["clear_expired", "expire_on_cluster", "moment"]


async def expire_on_cluster(
    context: Context, cluster: Workloads, project: str, ttl_s: float | None
) -> None:
    """Let the project expire, counted from now. ttl_s: None leaves its time as it is."""
    if ttl_s is None:
        return
    at = time.time() + ttl_s
    await cluster.set_expiry(Expiry(project, at))
    context.message(
        f"{project}: is taken down after {moment(at)}, by the first command that sees it;"
        " up --ttl prolongs it"
    )


async def clear_expired(context: Context, cluster: Workloads) -> None:
    """Remove what has had its time. What cannot be removed is told, and ends nothing."""
    if context.is_dry_run:
        return
    try:
        found = await cluster.expiries()
    except StackrError as error:
        context.warning(f"stacks whose time is up stay: {error.message}")
        return
    for each in found:
        if each.at <= time.time():
            await _take_away(context, cluster, each.project)


async def _take_away(context: Context, cluster: Workloads, project: str) -> None:
    try:
        async with context.locked_cluster(cluster, project):
            now = {each.project: each for each in await cluster.expiries()}.get(project)
            if now is None or now.at > time.time():
                return  # another command was quicker, or gives it more time
            removed = await remove_stack(cluster, project, with_volumes=now.with_volumes)
    except StackrError as error:
        context.warning(f"{project}: its time is up, and not all is removed: {error.message}")
        return
    context.message(f"{project}: removed, as its time was up")
    for told in removed.left:
        context.warning(told)


def moment(at: float) -> str:
    """Unix seconds as `2026-01-02T03:04:05Z`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
