"""What happens to a container: its start, its end, its restart, a change of its settings.

A record says what is about to be done before it is done (`intent`, `removing`), so that a daemon
that is killed in between finishes or undoes it at its next start (`adoption.py`).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from stackr.errors import Internal, NotFound, StackrError
from stackr.runtime.engine.container.announce import announce, announce_mounts
from stackr.runtime.engine.container.health import prober
from stackr.runtime.engine.container.life.bring_up import BringUp
from stackr.runtime.engine.container.life.limiter import Limiter
from stackr.runtime.engine.container.life.log_keeping import begin_log, finish_log
from stackr.runtime.engine.container.life.networking import joined_containers
from stackr.runtime.engine.container.life.removal import Removal
from stackr.runtime.engine.container.life.stopping import Stopping
from stackr.runtime.engine.container.life.teardown import Teardown
from stackr.runtime.engine.container.life.watch import Watch
from stackr.runtime.engine.container.oci.failure import start_failure
from stackr.runtime.engine.container.oci.monitor import MonitorError
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import Container, Health, UnhealthyRestarts
from stackr.runtime.engine.container.records.restart import should_restart
from stackr.runtime.engine.container.records.state import Event, Status, Verb, check
from stackr.runtime.engine.container.settings.spec import ContainerUpdate
from stackr.runtime.engine.linux.exhaustion import exhausted
from stackr.runtime.engine.linux.process import Process
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["Lifecycle"]

_log = logging.getLogger(__name__)

_DONOR_PATIENCE_S = 60.0


class Lifecycle:
    """Acts on the kernel, then records; every method runs on the event loop."""

    def __init__(
        self,
        parts: Parts,
        *,
        limiter: Limiter,
        teardown: Teardown,
        bring_up: BringUp,
        watch: Watch,
        stopping: Stopping,
        removal: Removal,
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._limiter = limiter
        self._teardown = teardown
        self._bring_up = bring_up
        self._watch = watch
        self._stopping = stopping
        self._removal = removal

    async def start(self, live: Live, *, by_caller: bool = True) -> None:
        """Raises NotModified where it runs already, and the reason where it cannot be started; one
        that is to be removed at its end is gone by then.

        by_caller: restarts are counted anew.
        """
        async with live.lock:
            container = live.container
            check(container.state.status, Verb.START, id=container.id, name=container.name)
            if live.restart is not None and live.restart is not asyncio.current_task():
                live.restart.cancel()
                live.restart = None
            if live.restart is None:
                if by_caller:
                    container.unhealthy_restarts = UnhealthyRestarts()
                container.restart_count = container.unhealthy_restarts.total
            container.manually_stopped = False
            try:
                await self._start(live)
                return
            except StackrError as error:
                failure = error
        if container.host_config.auto_remove:
            await self._auto_remove(live)  # before the failure is told, as moby does
        raise failure

    async def _start(self, live: Live) -> None:
        container = live.container
        self._store.advance(container, Event.START, intent="start")
        try:
            started_ns = await self._bring_up.run(live)
        except MonitorError as error:
            failure = start_failure(
                error.message, container.command[0], sources=_sources(container)
            )
            self._record_failure(live, failure.exit_code, failure.message)
            raise failure.error() from error
        except StackrError as error:
            self._record_failure(live, 128, error.message)
            raise
        except OSError as error:
            broken = exhausted(error) or Internal(
                f"{error.filename or 'start'}: {error.strerror or error}"
            )
            self._record_failure(live, 128, broken.message)
            raise broken from error
        except BaseException:
            self._record_failure(live, 128, "the start was interrupted")
            raise
        checked = prober.is_checked(container.config)
        self._store.advance(
            container, Event.STARTED, started_ns=started_ns, health=Health() if checked else None
        )
        announce_mounts(self._parts.events, container, "mount")
        announce(self._parts.events, container, "start")
        self.follow(live)

    def _record_failure(self, live: Live, exit_code: int, message: str) -> None:
        live.fail_pending()
        self._store.advance(live.container, Event.START_FAILED, exit_code=exit_code, error=message)

    def follow(self, live: Live) -> None:
        """Follow a running container to its end, and check its health."""
        name = f"container {live.container.short_id}"
        self._parts.tasks.start(self._follow(live, live.monitor), name)
        self._watch.begin(live)
        begin_log(live, self._parts)

    async def _follow(self, live: Live, monitor: Process | None) -> None:
        if monitor is not None:
            await monitor.ended()
            monitor.close()
        async with live.lock:
            live.monitor = None
            self._watch.end(live)
            await self.ended(live)

    async def ended(self, live: Live) -> None:
        """Record the end of a container whose monitor is gone; the lock is held."""
        container, parts = live.container, self._parts
        uptime_s = container.uptime_s
        bundle = parts.storage.bundle(container)
        report = parts.monitor.exit_report(bundle)
        oom = report.oom or parts.host.cgroups.oom_kills(parts.groups.path(container)) > 0
        told, live.had_oom = live.had_oom, False  # the monitor notes some kills twice
        await self._release(container)
        await finish_log(live, parts)
        counted = container.unhealthy_restarts
        restarts = should_restart(
            container.host_config.restart_policy,
            exit_code=report.exit_code,
            restart_count=container.restart_count - counted.total,
            manually_stopped=container.manually_stopped,
        ) or (counted.ending and not container.manually_stopped)
        was_unhealthy, counted.ending = counted.ending, False
        self._store.advance(
            container,
            Event.RESTARTS if restarts else Event.ENDED,
            exit_code=report.exit_code,
            # a file's time is coarse
            finished_ns=max(report.finished_ns, container.state.started_ns),
            oom_killed=oom or told,
        )
        remove_tree(bundle)  # the report is in it
        if oom and not told:
            announce(parts.events, container, "oom")
        duration = {"execDuration": str(max(0, int(uptime_s)))}
        announce(parts.events, container, "die", {"exitCode": str(report.exit_code), **duration})
        announce_mounts(parts.events, container, "unmount")
        live.exited.resolve(report.exit_code)
        if restarts:
            self.schedule_restart(live, 0 if was_unhealthy else live.backoff.after(uptime_s))
            return
        live.stopped.resolve(report.exit_code)
        if container.host_config.auto_remove and live.remove_on_exit:
            parts.tasks.start(self._auto_remove(live), f"remove {container.short_id}")

    async def _release(self, container: Container) -> None:
        for release in (self._teardown.detach, self._teardown.end_processes):
            try:
                await release(container)
            except (StackrError, OSError) as error:
                _log.error("container %s: not all is released: %s", container.short_id, error)

    async def _auto_remove(self, live: Live) -> None:
        try:
            await self._removal.run(live, force=True, volumes=True)
        except NotFound:
            return
        except StackrError as error:
            _log.warning("container %s: automatic removal: %s", live.container.short_id, error)

    def schedule_restart(self, live: Live, wait_s: float) -> None:
        name = f"restart {live.container.short_id}"
        live.restart = self._parts.tasks.start(self._restart_later(live, wait_s), name)

    async def _restart_later(self, live: Live, wait_s: float) -> None:
        container = live.container
        await asyncio.sleep(wait_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DONOR_PATIENCE_S):
                await asyncio.gather(*map(_settled, self.donors(live)))
        container.restart_count += 1
        try:
            await self.start(live)
        except StackrError as error:
            _log.warning("container %s: restart: %s", container.short_id, error)
            live.stopped.resolve(container.state.exit_code)
        finally:
            if live.restart is asyncio.current_task():
                live.restart = None

    def donors(self, live: Live) -> list[Live]:
        """The containers whose namespaces it shares: it can start only where they run."""
        found = []
        for ref in joined_containers(live.container.host_config):
            with suppress(StackrError):
                found.append(self._parts.lives[self._store.get(ref).id])
        return [each for each in found if each is not live]

    async def update(self, live: Live, body: ContainerUpdate, *, replace: bool) -> None:
        """Change limits, restart policy and labels; what fails changes nothing."""
        async with live.lock:
            await self._limiter.update(live.container, body, replace=replace)
            announce(self._parts.events, live.container, "update")

    async def restart(
        self, live: Live, *, timeout_s: int | None = None, signal_name: str = ""
    ) -> None:
        """Stop where it runs, then start; an `AutoRemove` container survives it."""
        live.remove_on_exit = False
        try:
            if live.container.state.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING):
                await self._stopping.stop(live, timeout_s=timeout_s, signal_name=signal_name)
            await self.start(live)
        finally:
            live.remove_on_exit = True
        announce(self._parts.events, live.container, "restart")


async def _settled(live: Live) -> None:
    """Its end is recorded, where it has ended, and it is up again, where it comes up again."""
    async with live.lock:
        restart = live.restart
    if restart is not None:
        await asyncio.wait([restart])


def _sources(container: Container) -> dict[str, str]:
    """What is mounted, as its user knows it, by its place in the container."""
    return {
        mount.destination: mount.name if mount.type == "volume" else mount.source or mount.type
        for mount in container.mounts
    }
