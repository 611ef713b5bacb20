"""The daemon's start: each record is compared with what is really there, and brought in line with
it.

A running container is taken over as it is. What a killed daemon had begun is finished (a start, a
stop, a removal) or undone (a create, a connection to a network). What is left of containers that
nobody knows of is cleared away, and what still runs of them is left alone. The first call is served
once all of that is done, so that no caller plans with what is about to change.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress

from stackr.errors import NotFound, NotModified, StackrError
from stackr.runtime.engine.container.life.lifecycle import Lifecycle
from stackr.runtime.engine.container.life.removal import Removal
from stackr.runtime.engine.container.life.stopping import Stopping, stop_timeout_of
from stackr.runtime.engine.container.life.teardown import Teardown
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.lost import (
    ID_LENGTH,
    bundle_ids,
    monitors,
    running_without_record,
)
from stackr.runtime.engine.container.records.record import Container, Health
from stackr.runtime.engine.container.records.restart import comes_up_with_daemon
from stackr.runtime.engine.container.records.state import Event, Status
from stackr.runtime.engine.linux.process import Process, start_ticks
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.roots import make_folder

__all__ = ["Adoption"]

_log = logging.getLogger(__name__)

_SETTLE_S = 60.0  # what takes longer goes on while calls are served


class Adoption:
    """Used once, before the first call is served."""

    def __init__(
        self,
        parts: Parts,
        *,
        lifecycle: Lifecycle,
        teardown: Teardown,
        stopping: Stopping,
        removal: Removal,
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._networks = parts.networks
        self._lifecycle = lifecycle
        self._teardown = teardown
        self._stopping = stopping
        self._removal = removal
        self._starting: dict[str, Live] = {}
        self._unfinished: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        self._kill_stray_monitors()
        await self._clear_unknown()
        for container in self._store:
            self._parts.lives[container.id] = Live(container)
            self._parts.storage.acquire(container)
        lives = list(self._parts.lives.values())
        await asyncio.gather(*(self._reconcile(live) for live in lives))
        await self._settle()
        self._parts.groups.sweep()

    async def _settle(self) -> None:
        """See the starts and stops to their end, each start after those that it joins."""
        for id, live in self._starting.items():
            self._unfinished[id] = self._parts.tasks.start(
                self._start(live), f"start {live.container.short_id}"
            )
        restarts = [live.restart for live in self._parts.lives.values() if live.restart]
        tasks = [*self._unfinished.values(), *restarts]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_SETTLE_S)
        for task in late:
            _log.warning("%s: goes on in the background", task.get_name())

    def _kill_stray_monitors(self) -> None:
        """Those of starts that were cut off."""
        expected = {c.running.monitor_pid for c in self._store if c.running and c.intent != "start"}
        for id, pid in monitors(self._parts.config):
            if id not in self._store or pid in expected:
                continue
            process = Process.find(pid, start_ticks(pid))
            if process is not None:
                with process:
                    process.kill()

    async def _clear_unknown(self) -> None:
        """Groups, bundles and runtime states without a record, but not of what still runs: a record
        that is lost is no reason to end a container, nor to delete what it wrote.
        """
        running = running_without_record(self._parts.config, self._is_known)
        for id, pids in running.items():
            numbers = ", ".join(map(str, sorted(pids)))
            self._parts.note(f"container {id[:12]}: runs on without a record: process {numbers}")
        runtime, cgroups = self._parts.runtime, self._parts.host.cgroups
        group = self._parts.config.cgroup_parent
        groups = {name for name in cgroups.children(group) if len(name) == ID_LENGTH}
        known = set(runtime.known()) | groups | set(bundle_ids(self._parts.config))
        for id in known - running.keys():
            if not self._is_known(id):
                await runtime.delete(id)
                await self._teardown.remove_group(f"{group}/{id}")
                remove_tree(self._parts.config.bundles_root / id)
        for id in os.listdir(self._parts.config.containers_root):
            if not self._is_known(id):
                folder = self._parts.config.containers_root / id
                self._parts.note(f"container {id[:12]}: has no record: its log is in {folder}")

    def _is_known(self, id: str) -> bool:
        return id in self._store or self._store.is_left_alone(id)

    async def _reconcile(self, live: Live) -> None:
        container = live.container
        try:
            match container.state.status:
                case Status.CREATING:
                    await self._removal.finish(live, volumes=True)
                case Status.REMOVING:
                    await self._teardown.clear(container)
                    volumes = container.intent == "remove with volumes"
                    await self._removal.finish(live, volumes=volumes)
                case _ if container.intent == "start":
                    await self._start_again(live)
                case Status.RUNNING | Status.PAUSED:
                    await self._take_over(live)
                case Status.RESTARTING:
                    self._clear_bundle(container)
                    self._lifecycle.schedule_restart(live, 0.1)
                case _:
                    self._clear_bundle(container)
                    await self._come_up(live)
        except (StackrError, OSError) as error:
            _log.error("container %s: cannot be adopted: %s", container.short_id, error)

    def _clear_bundle(self, container: Container) -> None:
        """Its end was recorded, and the daemon killed before the bundle was gone."""
        remove_tree(self._parts.storage.bundle(container))

    async def _start_again(self, live: Live) -> None:
        """A start that was cut off: whatever there is of it goes, and it is made anew."""
        container = live.container
        with suppress(StackrError):
            await self._teardown.detach(container)
        await self._teardown.clear(container)
        self._store.advance(container, Event.CUT_OFF)
        self._begin(live)

    def _begin(self, live: Live) -> None:
        self._starting[live.container.id] = live

    async def _start(self, live: Live) -> None:
        pending = [
            self._unfinished.get(donor.container.id) or donor.restart
            for donor in self._lifecycle.donors(live)
        ]
        if tasks := [task for task in pending if task is not None]:
            await asyncio.wait(tasks, timeout=_SETTLE_S)
        try:
            await self._lifecycle.start(live, by_caller=False)
        except NotModified:
            return
        except StackrError as error:
            _log.warning("container %s: start: %s", live.container.short_id, error)

    async def _take_over(self, live: Live) -> None:
        container = live.container
        monitor = self._parts.monitor.find(container.running)
        if monitor is None:
            await self._ended_meanwhile(live)
            return
        live.monitor = monitor
        bundle = self._parts.storage.bundle(container)
        make_folder(bundle)  # where the monitor will write how it ends
        if container.running is not None:
            try:
                await self._take_over_networks(container, container.running.pid)
            except NotFound:
                pass
            except (StackrError, OSError) as error:  # its end must be noticed all the same
                id = container.short_id
                _log.error("container %s: its networks are not taken over: %s", id, error)
        self._match_freezer(container)
        if container.state.health is not None and container.state.health.status == "starting":
            container.state.health = Health()
        self._lifecycle.follow(live)
        if container.intent.startswith("stop"):
            self._unfinished[container.id] = self._parts.tasks.start(
                self._finish_stop(live), f"stop {container.short_id}"
            )
        if container.intent == "unpause":
            await self._finish_unpause(live)

    async def _take_over_networks(self, container: Container, pid: int) -> None:
        """A change of its networks or its name is recorded in two places, one after the other."""
        sandbox = await self._networks.adopt(container.id, pid)
        self._networks.rename(container.id, container.name)
        names = {ref: self._networks.get(ref).name for ref in container.endpoints}
        for network in sandbox.endpoints.keys() - names.values():
            await self._networks.disconnect(container.id, network)
        kept = {r: e for r, e in container.endpoints.items() if names[r] in sandbox.endpoints}
        if len(kept) < len(container.endpoints):
            container.endpoints = kept
            self._store.put(container)

    def _match_freezer(self, container: Container) -> None:
        frozen = self._parts.host.cgroups.is_frozen(self._parts.groups.path(container))
        status = Status.PAUSED if frozen else Status.RUNNING
        if frozen is not None and status is not container.state.status:
            self._store.advance(container, Event.PAUSED if frozen else Event.RESUMED)

    async def _finish_unpause(self, live: Live) -> None:
        """It was paused for a moment, to make an image of it."""
        if live.container.state.status is Status.PAUSED:
            with suppress(StackrError):
                await self._stopping.unpause(live)
        self._store.intend(live.container, "")

    async def _finish_stop(self, live: Live) -> None:
        with suppress(StackrError):
            await self._stopping.stop(live, timeout_s=stop_timeout_of(live.container.intent))

    async def _ended_meanwhile(self, live: Live) -> None:
        """It ended while no daemon was there; a reboot leaves no exit code behind."""
        container = live.container
        has_report = (self._parts.storage.bundle(container) / "exit").exists()
        policy = container.host_config.restart_policy
        async with live.lock:
            await self._lifecycle.ended(live)
        if has_report or container.state.status is not Status.EXITED:
            return
        if comes_up_with_daemon(policy, was_up=True, manually_stopped=container.manually_stopped):
            self._begin(live)

    async def _come_up(self, live: Live) -> None:
        container = live.container
        if container.intent:
            self._store.intend(container, "")
        has_ended = container.state.finished_ns > 0 or container.state.error
        if container.host_config.auto_remove and has_ended:
            await self._removal.run(live, force=True, volumes=True)
            return
        policy = container.host_config.restart_policy
        was_started = container.state.started_ns > 0
        if was_started and comes_up_with_daemon(
            policy, was_up=False, manually_stopped=container.manually_stopped
        ):
            self._begin(live)
