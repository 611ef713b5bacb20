"""Takes away what a container's run was made of: its network, processes, group, mounts, bundle."""

from __future__ import annotations

import asyncio
import logging
import time

from stackr.runtime.engine.container.life.limiter import Limiter
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["Teardown"]

_log = logging.getLogger(__name__)

_GROUP_PATIENCE_S = 30


class Teardown:
    """Every method does what is left to do, however far a start or an earlier call has come."""

    def __init__(self, parts: Parts, limiter: Limiter) -> None:
        self._host = parts.host
        self._storage = parts.storage
        self._groups = parts.groups
        self._networks = parts.networks
        self._runtime = parts.runtime
        self._monitor = parts.monitor
        self._limiter = limiter

    async def detach(self, container: Container) -> None:
        """Also where it has left its last network meanwhile."""
        await self._networks.detach(container.id)

    async def clear(self, container: Container) -> None:
        """No process, group, mount or bundle of the container is left; whatever state it was in."""
        await self.end_processes(container)
        remove_tree(self._storage.bundle(container))

    async def end_processes(self, container: Container) -> None:
        """The bundle stays: the monitor's report of the exit is in it."""
        group = self._groups.path(container)
        monitor = self._monitor.find(container.running)
        if monitor is not None:
            with monitor:
                monitor.kill()
        self._limiter.ending(container)
        self._host.cgroups.kill(group)
        await self._runtime.delete(container.id)
        await self.remove_group(group)
        self._groups.is_made(container)
        self._groups.sweep()

    async def remove_group(self, group: str) -> None:
        """Killed processes leave their group a moment later."""
        deadline = time.monotonic() + _GROUP_PATIENCE_S
        while busy := self._host.cgroups.remove(group):
            if time.monotonic() > deadline:
                _log.warning("cgroup %s: still busy: cannot be removed", busy[0])
                return
            self._host.cgroups.kill(group)
            await asyncio.sleep(0.005)
