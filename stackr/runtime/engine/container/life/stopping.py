"""Signals to a container, its end by them, and its pause."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from stackr.errors import Conflict, StackrError
from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.life.signalling import send_signal, stop_timeout_s
from stackr.runtime.engine.container.life.watch import Watch
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.state import Event, Status, Verb, check
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.linux.process import is_exiting, start_ticks

__all__ = ["Stopping", "is_running", "stop_timeout_of"]

_KILL_PATIENCE_S = 30.0


def stop_timeout_of(intent: str) -> int | None:
    """What the stop was asked with that `intent` tells of."""
    _, _, timeout_s = intent.partition(" ")
    return int(timeout_s) if timeout_s else None


def is_running(container: Container) -> bool:
    """Whether its program is there: its end is noticed a moment after it."""
    running = container.running
    if running is None or start_ticks(running.pid) != running.pid_start:
        return False
    return not is_exiting(running.pid)


class Stopping:
    """What is recorded of an end is `Lifecycle.ended`'s, whoever has brought it about."""

    def __init__(self, parts: Parts, watch: Watch) -> None:
        self._parts = parts
        self._store = parts.store
        self._watch = watch

    async def stop(
        self, live: Live, *, timeout_s: int | None = None, signal_name: str = ""
    ) -> None:
        """Ask the program to end, and kill it after `timeout_s`; -1 waits for ever.

        Raises NotModified where it does not run.
        """
        container = live.container
        await live.settled()
        check(container.state.status, Verb.STOP, id=container.id, name=container.name)
        number = signal_number(signal_name or container.config.stop_signal or "SIGTERM")
        container.manually_stopped = True
        intent = "stop" if timeout_s is None else f"stop {timeout_s}"
        self._store.advance(container, Event.STOP, intent=intent)
        if container.state.status is Status.RESTARTING:
            await self._cancel_restart(live)
        else:
            options = self._parts.config.options
            await self._end(live, number, stop_timeout_s(container, options, timeout_s))
        announce(self._parts.events, container, "stop")

    async def kill(self, live: Live, signal_name: str = "") -> None:
        """Send a signal; SIGKILL is waited for. Raises Conflict where it does not run."""
        container = live.container
        number = signal_number(signal_name or "SIGKILL")
        await live.settled()
        check(container.state.status, Verb.KILL, id=container.id, name=container.name)
        if number in (signal.SIGKILL, signal_number(container.config.stop_signal or "SIGTERM")):
            container.manually_stopped = True
            self._store.put(container)
        if number == signal.SIGKILL:
            await self._end(live, number, None)
        else:
            send_signal(self._parts, container, number)

    async def force_down(self, live: Live) -> None:
        """Kill it, or see to it that it is not started again, for its removal."""
        container = live.container
        live.remove_on_exit = False
        container.manually_stopped = True
        self._store.put(container)
        if container.state.status is Status.RESTARTING:
            await self._cancel_restart(live)
        elif container.state.status.is_up:
            await self._end(live, signal.SIGKILL, None)

    async def pause(self, live: Live) -> None:
        async with live.lock:
            container = live.container
            check(container.state.status, Verb.PAUSE, id=container.id, name=container.name)
            try:
                await self._parts.runtime.pause(container.id)
            except StackrError as error:
                if is_running(container):
                    raise
                raise Conflict(f"Container {container.id} is not running") from error
            self._watch.end_health(live)
            self._store.advance(container, Event.PAUSED)
            announce(self._parts.events, container, "pause")

    async def unpause(self, live: Live) -> None:
        async with live.lock:
            container = live.container
            check(container.state.status, Verb.UNPAUSE, id=container.id, name=container.name)
            if self._parts.runtime.knows(container.id):
                await self._parts.runtime.resume(container.id)
            else:
                self._parts.host.cgroups.thaw(self._parts.groups.path(container))
            self._store.advance(container, Event.RESUMED)
            announce(self._parts.events, container, "unpause")
            self._watch.begin_health(live)

    async def _cancel_restart(self, live: Live) -> None:
        container = live.container
        if live.restart is not None:
            live.restart.cancel()
            live.restart = None
        async with live.lock:
            if container.state.status is Status.RESTARTING:
                self._store.advance(container, Event.RESTART_CANCELLED)
                live.stopped.resolve(container.state.exit_code)

    async def _end(self, live: Live, number: int, timeout_s: float | None) -> None:
        exited = live.exited.future()
        try:
            if live.container.state.status is Status.PAUSED:
                await self.unpause(live)
            send_signal(self._parts, live.container, number)
            if timeout_s != 0 or number == signal.SIGKILL:
                limit = _KILL_PATIENCE_S if number == signal.SIGKILL else timeout_s
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(exited), limit)
                    return
            send_signal(self._parts, live.container, signal.SIGKILL)
            try:
                await asyncio.wait_for(asyncio.shield(exited), _KILL_PATIENCE_S)
            except TimeoutError as error:
                raise Conflict(
                    f"cannot stop container: {live.container.id}: it did not end after SIGKILL"
                ) from error
        finally:
            exited.cancel()
