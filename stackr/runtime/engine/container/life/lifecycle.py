"""What happens to a container: start, its end, restart, stop, kill, pause, removal.

A record says what is about to be done before it is done (`intent`, `removing`), so that a daemon
that is killed in between finishes or undoes it at its next start (`adoption.py`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from stackr.errors import Conflict, Internal, NotFound, StackrError
from stackr.runtime.engine.container.health import prober as health
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.life.bring_up import BringUp
from stackr.runtime.engine.container.life.limiter import Limiter
from stackr.runtime.engine.container.life.networking import joined_containers
from stackr.runtime.engine.container.life.teardown import Teardown
from stackr.runtime.engine.container.limits.groups import Groups
from stackr.runtime.engine.container.limits.oom import watch_oom
from stackr.runtime.engine.container.oci.failure import start_failure
from stackr.runtime.engine.container.oci.monitor import Monitor, MonitorError
from stackr.runtime.engine.container.oci.runtime import OciRuntime
from stackr.runtime.engine.container.records.live import Live, Tasks
from stackr.runtime.engine.container.records.record import Container, Health, State
from stackr.runtime.engine.container.records.restart import should_restart
from stackr.runtime.engine.container.records.state import Status, Verb, check
from stackr.runtime.engine.container.records.store import Store
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.container.settings.spec import ContainerUpdate
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.exhaustion import exhausted
from stackr.runtime.engine.linux.inotify import FileWatches
from stackr.runtime.engine.linux.process import Process
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["Lifecycle", "stop_timeout_of"]

_log = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 10
_KILL_PATIENCE_S = 30.0
_DONOR_PATIENCE_S = 60.0


def _stop_intent(timeout_s: int | None) -> str:
    return "stop" if timeout_s is None else f"stop {timeout_s}"


def stop_timeout_of(intent: str) -> int | None:
    """What the stop was asked with that `intent` tells of."""
    _, _, timeout_s = intent.partition(" ")
    return int(timeout_s) if timeout_s else None


class Lifecycle:
    """Acts on the kernel, then records; every method runs on the event loop."""

    def __init__(
        self,
        host: Host,
        *,
        store: Store,
        storage: Storage,
        groups: Groups,
        events: EventBus,
        runtime: OciRuntime,
        monitor: Monitor,
        watches: FileWatches,
        limiter: Limiter,
        bring_up: BringUp,
        teardown: Teardown,
        probes: health.Probes,
        tasks: Tasks,
    ) -> None:
        self._host = host
        self._store = store
        self._storage = storage
        self.groups = groups
        self._events = events
        self.runtime = runtime
        self.monitor = monitor
        self._watches = watches
        self._probes = probes
        self._tasks = tasks
        self._limiter = limiter
        self._bring_up = bring_up
        self.teardown = teardown
        self.lives: dict[str, Live] = {}

    def publish(
        self, container: Container, action: str, extra: Mapping[str, str] | None = None
    ) -> None:
        """An event with Docker's attributes: labels, image, name."""
        attributes = {
            **container.config.labels,
            "image": container.config.image,
            "name": container.name,
            **(extra or {}),
        }
        self._events.publish("container", action, container.id, attributes)

    async def start(self, live: Live) -> None:
        """Raises NotModified where it runs already, and the reason where it cannot be started; one
        that is to be removed at its end is gone by then.
        """
        async with live.lock:
            container = live.container
            check(container.state.status, Verb.START, id=container.id, name=container.name)
            if live.restart is not None and live.restart is not asyncio.current_task():
                live.restart.cancel()
                live.restart = None
            if live.restart is None:
                container.restart_count = 0
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
        container.intent = "start"
        self._store.put(container)
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
        container.intent = ""
        container.state = State(
            status=Status.RUNNING,
            started_ns=started_ns,
            health=Health() if health.is_checked(container.config) else None,
        )
        self._store.put(container)
        self.publish(container, "start")
        self.watch(live)

    def _record_failure(self, live: Live, exit_code: int, message: str) -> None:
        live.fail_pending()
        container = live.container
        container.intent = ""
        container.running = None
        container.state.exit_code, container.state.error = exit_code, message
        if container.state.status is Status.RESTARTING:
            container.state.status = Status.EXITED
        self._store.put(container)

    def watch(self, live: Live) -> None:
        """Follow a running container to its end, and check its health."""
        container = live.container
        self._tasks.start(self._follow(live, live.monitor), f"container {container.short_id}")
        if container.host_config.memory:
            events = self._host.cgroups.memory_events(self.groups.path(container))
            bundle, tell = self._storage.bundle(container), partial(self._oom, live)
            watch = watch_oom(events, bundle, self._watches, tell)
            live.oom = self._tasks.start(watch, f"memory {container.short_id}")
        if container.state.health is not None and container.state.status is Status.RUNNING:
            self._watch_health(live)

    def _watch_health(self, live: Live) -> None:
        prober = health.Prober(
            live.container,
            probes=self._probes,
            changed=lambda: self._store.put(live.container),
            publish=lambda action: self.publish(live.container, action),
        )
        live.health = self._tasks.start(prober.run(), f"health {live.container.short_id}")

    def _oom(self, live: Live) -> None:
        live.had_oom = True
        self.publish(live.container, "oom")

    def _stop_health(self, live: Live) -> None:
        if live.health is not None:
            live.health.cancel()
            live.health = None

    async def _follow(self, live: Live, monitor: Process | None) -> None:
        if monitor is not None:
            await monitor.ended()
            monitor.close()
        async with live.lock:
            live.monitor = None
            self._stop_health(live)
            if live.oom is not None:
                live.oom.cancel()
                live.oom = None
            await self.ended(live)

    async def ended(self, live: Live) -> None:
        """Record the end of a container whose monitor is gone; the lock is held."""
        container = live.container
        uptime_s = container.uptime_s
        report = self.monitor.exit_report(self._storage.bundle(container))
        oom = report.oom or self._host.cgroups.oom_kills(self.groups.path(container)) > 0
        told, live.had_oom = live.had_oom, False  # the monitor notes some kills twice
        for release in (self.teardown.detach, self.teardown.end_processes):
            try:
                await release(container)
            except (StackrError, OSError) as error:
                _log.error("container %s: not all is released: %s", container.short_id, error)
        state = container.state
        finished_ns = max(report.finished_ns, state.started_ns)  # a file's time is coarse
        state.exit_code, state.finished_ns, state.oom_killed = (
            report.exit_code,
            finished_ns,
            oom or told,
        )
        restarts = should_restart(
            container.host_config.restart_policy,
            exit_code=report.exit_code,
            restart_count=container.restart_count,
            manually_stopped=container.manually_stopped,
        )
        state.status = Status.RESTARTING if restarts else Status.EXITED
        container.running, container.intent = None, ""
        self._store.put(container)
        remove_tree(self._storage.bundle(container))  # the report is in it
        if oom and not told:
            self.publish(container, "oom")
        duration = {"execDuration": str(max(0, int(uptime_s)))}
        self.publish(container, "die", {"exitCode": str(report.exit_code), **duration})
        live.exited.resolve(report.exit_code)
        if restarts:
            self.schedule_restart(live, live.backoff.after(uptime_s))
            return
        live.stopped.resolve(report.exit_code)
        if container.host_config.auto_remove and live.remove_on_exit:
            self._tasks.start(self._auto_remove(live), f"remove {container.short_id}")

    async def _auto_remove(self, live: Live) -> None:
        try:
            await self.remove(live, force=True, volumes=True)
        except NotFound:
            return
        except StackrError as error:
            _log.warning("container %s: automatic removal: %s", live.container.short_id, error)

    def schedule_restart(self, live: Live, wait_s: float) -> None:
        name = f"restart {live.container.short_id}"
        live.restart = self._tasks.start(self._restart_later(live, wait_s), name)

    async def _restart_later(self, live: Live, wait_s: float) -> None:
        container = live.container
        await asyncio.sleep(wait_s)
        if donors := [d.restart for d in self.donors(live) if d.restart is not None]:
            await asyncio.wait(donors, timeout=_DONOR_PATIENCE_S)
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
                found.append(self.lives[self._store.get(ref).id])
        return [each for each in found if each is not live]

    async def stop(
        self, live: Live, *, timeout_s: int | None = None, signal_name: str = ""
    ) -> None:
        """Ask the program to end, and kill it after `timeout_s`; -1 waits for ever.

        Raises NotModified where it does not run.
        """
        container = live.container
        if live.lock.locked():
            async with live.lock:
                pass  # a start under way comes first
        check(container.state.status, Verb.STOP, id=container.id, name=container.name)
        number = signal_number(signal_name or container.config.stop_signal or "SIGTERM")
        container.manually_stopped = True
        container.intent = _stop_intent(timeout_s)
        self._store.put(container)
        if container.state.status is Status.RESTARTING:
            await self._cancel_restart(live)
        else:
            await self._end(live, number, self._stop_timeout(container, timeout_s))
        self.publish(container, "stop")

    def _stop_timeout(self, container: Container, given: int | None) -> float | None:
        if given is None:
            given = container.config.stop_timeout
        timeout_s = _STOP_TIMEOUT_S if given is None else given
        return None if timeout_s < 0 else float(timeout_s)

    async def _cancel_restart(self, live: Live) -> None:
        container = live.container
        if live.restart is not None:
            live.restart.cancel()
            live.restart = None
        async with live.lock:
            if container.state.status is Status.RESTARTING:
                container.state.status, container.intent = Status.EXITED, ""
                self._store.put(container)
                live.stopped.resolve(container.state.exit_code)

    async def _end(self, live: Live, number: int, timeout_s: float | None) -> None:
        exited = live.exited.future()
        try:
            if live.container.state.status is Status.PAUSED:
                await self.unpause(live)
            self._signal(live, number)
            if timeout_s != 0 or number == signal.SIGKILL:
                limit = _KILL_PATIENCE_S if number == signal.SIGKILL else timeout_s
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(exited), limit)
                    return
            self._signal(live, signal.SIGKILL)
            try:
                await asyncio.wait_for(asyncio.shield(exited), _KILL_PATIENCE_S)
            except TimeoutError as error:
                raise Conflict(
                    f"cannot stop container: {live.container.id}: it did not end after SIGKILL"
                ) from error
        finally:
            exited.cancel()

    def _signal(self, live: Live, number: int) -> None:
        """To the container's first process; one that has just ended is fine."""
        container = live.container
        running = container.running
        if running is None:
            return
        process = Process.find(running.pid, running.pid_start)
        if process is not None:
            with process:
                process.kill(number)
        if number == signal.SIGKILL:
            self._host.cgroups.kill(self.groups.path(container))
        names = {"signal": str(int(number))}
        self.publish(container, "kill", names)

    async def kill(self, live: Live, signal_name: str = "") -> None:
        """Send a signal; SIGKILL is waited for. Raises Conflict where it does not run."""
        container = live.container
        number = signal_number(signal_name or "SIGKILL")
        check(container.state.status, Verb.KILL, id=container.id, name=container.name)
        if number in (signal.SIGKILL, self._stop_signal(container)):
            container.manually_stopped = True
            self._store.put(container)
        if number == signal.SIGKILL:
            await self._end(live, number, None)
        else:
            self._signal(live, number)

    def _stop_signal(self, container: Container) -> int:
        return signal_number(container.config.stop_signal or "SIGTERM")

    async def pause(self, live: Live) -> None:
        async with live.lock:
            container = live.container
            check(container.state.status, Verb.PAUSE, id=container.id, name=container.name)
            await self.runtime.pause(container.id)
            self._stop_health(live)
            container.state.status = Status.PAUSED
            self._store.put(container)
            self.publish(container, "pause")

    async def unpause(self, live: Live) -> None:
        async with live.lock:
            container = live.container
            check(container.state.status, Verb.UNPAUSE, id=container.id, name=container.name)
            await self.runtime.resume(container.id)
            container.state.status = Status.RUNNING
            self._store.put(container)
            self.publish(container, "unpause")
            if container.state.health is not None:
                self._watch_health(live)

    async def update(self, live: Live, body: ContainerUpdate, *, replace: bool) -> None:
        """Change limits, restart policy and labels; what fails changes nothing."""
        async with live.lock:
            await self._limiter.update(live.container, body, replace=replace)
            self.publish(live.container, "update")

    async def restart(
        self, live: Live, *, timeout_s: int | None = None, signal_name: str = ""
    ) -> None:
        """Stop where it runs, then start; an `AutoRemove` container survives it."""
        live.remove_on_exit = False
        try:
            if live.container.state.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING):
                await self.stop(live, timeout_s=timeout_s, signal_name=signal_name)
            await self.start(live)
        finally:
            live.remove_on_exit = True
        self.publish(live.container, "restart")

    async def remove(self, live: Live, *, force: bool, volumes: bool) -> None:
        """Raises Conflict, with Docker's text, where it runs and `force` is not given."""
        container = live.container
        if container.id not in self.lives:
            raise NotFound(f"No such container: {container.id}")
        self._store.check_removable()
        if container.state.status is Status.REMOVING and live.lock.locked():
            raise Conflict(f"removal of container {container.name} is already in progress")
        while not await self._remove_stopped(live, volumes=volumes):
            if not force:
                raise Conflict(
                    f'cannot remove container "/{container.name}": container is'
                    f" {container.state.status}: stop the container before removing or force remove"
                )
            await self._force_down(live)

    async def _remove_stopped(self, live: Live, *, volumes: bool) -> bool:
        """False where the container runs, or does so once a start under way is done.

        A removal that failed (a full disk) is done again.
        """
        container = live.container
        async with live.lock:
            status = container.state.status
            if container.id not in self.lives:
                return True
            if status.is_up or status is Status.RESTARTING:
                return False
            container.state.status = Status.REMOVING
            container.intent = "remove with volumes" if volumes else ""
            self._store.put(container)
            await self.finish_removal(live, volumes=volumes)
        return True

    async def _force_down(self, live: Live) -> None:
        container = live.container
        live.remove_on_exit = False
        container.manually_stopped = True
        self._store.put(container)
        if container.state.status is Status.RESTARTING:
            await self._cancel_restart(live)
        elif container.state.status.is_up:
            await self._end(live, signal.SIGKILL, None)

    async def finish_removal(self, live: Live, *, volumes: bool) -> None:
        """Take away a container that is marked for removal; the lock is held."""
        container = live.container
        await live.end_copies()
        await self._storage.remove(container, anonymous_volumes=volumes)
        self._store.delete(container)
        self.lives.pop(container.id, None)
        self.publish(container, "destroy")
        live.fail_pending()
        live.stopped.resolve(container.state.exit_code)
        live.removed.resolve(container.state.exit_code)


def _sources(container: Container) -> dict[str, str]:
    """What is mounted, as its user knows it, by its place in the container."""
    return {
        mount.destination: mount.name if mount.type == "volume" else mount.source or mount.type
        for mount in container.mounts
    }
