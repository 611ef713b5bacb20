"""Runs the dashboard on this process's terminal, until the user or a signal ends it."""

from __future__ import annotations

import asyncio
import signal

from stackr.stack.stack import Stack
from stackr.ui.app import Dashboard
from stackr.ui.target import Shell, Target

__all__ = ["run_dashboard"]

_ENDS = (signal.SIGINT, signal.SIGTERM)
"""Without SIGHUP, whose own action is right: the terminal is gone, and what writes to it waits."""


def run_dashboard(stack: Stack, shell: Shell) -> None:
    """The terminal is as before when this returns, and nothing goes on behind it."""
    app = Dashboard(Target(stack, shell))
    asyncio.run(_run(app))
    if app.fault is not None:
        raise app.fault


async def _run(app: Dashboard) -> None:
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        loop.add_signal_handler(number, app.exit)
    try:
        await app.run_async()
    finally:
        for number in _ENDS:
            loop.remove_signal_handler(number)
