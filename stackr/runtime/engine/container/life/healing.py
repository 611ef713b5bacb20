"""Restarts what has become unhealthy, where the container's label asks for that.

It is decided after each probe, so that nothing is done upon old news: what has recovered meanwhile
is left alone, and a daemon that has just started first sees for itself that the check fails. Nor is
anything done while somebody is at it: a command that changes the project, an exec, a pause, a
stop.

The restart is one as by a restart policy: the program is asked to end, and its end leads to a
start. That it is under way is in the record, so that the next daemon carries on where this one is
killed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress

from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.life.promotion import is_in_standby
from stackr.runtime.engine.container.life.signalling import send_signal, stop_timeout_s
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.container.settings.unhealthy import (
    RestartUnhealthy,
    restart_unhealthy,
)

__all__ = ["Healing"]

_log = logging.getLogger(__name__)

_AT_ONCE = 4
"""So many containers are asked to end at a time: where all have become unhealthy, it is for a cause
that they share, and to start all of them together would make it worse."""
_SHOWN = 200
_PROJECT = "com.docker.compose.project"


class Healing:
    """attended: whether somebody has an exec session in a container, by its ID."""

    def __init__(self, parts: Parts, attended: Callable[[str], bool]) -> None:
        self._parts = parts
        self._attended = attended
        self._ending: set[str] = set()

    def probed(self, live: Live, failures: int, retries: int) -> None:
        """After each probe. failures: those in a row that this daemon has seen in this run."""
        container = live.container
        health, policy = container.state.health, restart_unhealthy(container.config.labels)
        if policy is None or health is None:
            return
        if health.status == "healthy":
            self._well(live, policy)
            return
        live.healthy_since_s = None
        if health.status == "unhealthy" and failures >= retries and not self._is_busy(container):
            self._unwell(live, policy)

    def _well(self, live: Live, policy: RestartUnhealthy) -> None:
        """What is healthy for long enough is none of those that keep failing."""
        container, uptime_s = live.container, live.container.uptime_s
        if live.healthy_since_s is None:
            live.healthy_since_s = uptime_s
        counted = container.unhealthy_restarts
        if counted.attempts and uptime_s - live.healthy_since_s >= policy.window_s:
            counted.attempts, counted.given_up = 0, False
            self._parts.store.put(container)

    def _is_busy(self, container: Container) -> bool:
        """Whether it is in other hands now; the next probe asks again."""
        return (
            container.state.status is not Status.RUNNING
            or container.manually_stopped
            or bool(container.intent)
            or container.unhealthy_restarts.ending
            or self._parts.locks.is_held(container.config.labels.get(_PROJECT, ""))
            or self._attended(container.id)
            or is_in_standby(container, self._parts.store, self._parts.networks)
        )

    def _unwell(self, live: Live, policy: RestartUnhealthy) -> None:
        container = live.container
        counted = container.unhealthy_restarts
        if policy.is_used_up(counted.attempts):
            self._give_up(container)
        elif container.uptime_s < policy.least_uptime_s(counted.attempts):
            return
        elif len(self._ending) < _AT_ONCE:
            self._begin(live, policy)

    def _give_up(self, container: Container) -> None:
        counted = container.unhealthy_restarts
        if counted.given_up:
            return
        counted.given_up = True
        self._parts.store.put(container)
        self._tell(container, "given up", f"given up after {counted.attempts} restarts in a row")

    def _begin(self, live: Live, policy: RestartUnhealthy) -> None:
        container = live.container
        counted = container.unhealthy_restarts
        counted.attempts += 1
        counted.total += 1
        counted.given_up, counted.ending = False, True
        self._parts.store.put(container)
        of = f" of {policy.max_attempts}" if policy.max_attempts else ""
        self._tell(container, f"{counted.attempts}{of}", f"restart {counted.attempts}{of}")
        self.go_on(live)

    def go_on(self, live: Live) -> None:
        """See a restart that is under way to the program's end."""
        id, is_ending = live.container.id, live.container.unhealthy_restarts.ending
        if is_ending and id not in self._ending:
            work, name = self._end(live), f"restart unhealthy {live.container.short_id}"
            self._ending.add(id)
            self._parts.tasks.start(work, name)

    async def _end(self, live: Live) -> None:
        """Whoever stops or pauses it meanwhile has it."""
        container, exited = live.container, live.exited.future()
        try:
            number = signal_number(container.config.stop_signal or "SIGTERM")
            send_signal(self._parts, container, number)
            with suppress(TimeoutError):
                timeout_s = stop_timeout_s(container, self._parts.config.options)
                await asyncio.wait_for(asyncio.shield(exited), timeout_s)
            is_left = not exited.done() and container.unhealthy_restarts.ending
            if is_left and container.state.status is Status.RUNNING and not container.intent:
                send_signal(self._parts, container, signal.SIGKILL)
        finally:
            self._ending.discard(container.id)
            exited.cancel()

    def _tell(self, container: Container, action: str, text: str) -> None:
        health = container.state.health
        last = health.log[-1] if health is not None and health.log else None
        code = last.exit_code if last is not None else 0
        output = " ".join(last.output.split())[:_SHOWN] if last is not None else ""
        why = output or f"its health check ends with {code}"
        _log.warning(
            "container %s (%s): unhealthy: %s: %s",
            container.short_id,
            container.name,
            text,
            why,
        )
        facts = {
            "failingStreak": str(health.failing_streak if health is not None else 0),
            "exitCode": str(code),
            "reason": why,
        }
        announce(self._parts.events, container, f"restart_unhealthy: {action}", facts)
