"""A container's removal."""

from __future__ import annotations

from stackr.errors import Conflict, NotFound
from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.life.log_keeping import drop_log
from stackr.runtime.engine.container.life.stopping import Stopping
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.state import Event, Status

__all__ = ["Removal"]


class Removal:
    """The record says that it goes before anything is gone, so that the next start finishes it."""

    def __init__(self, parts: Parts, stopping: Stopping) -> None:
        self._parts = parts
        self._stopping = stopping

    async def run(self, live: Live, *, force: bool, volumes: bool) -> None:
        """Raises Conflict, with Docker's text, where it runs and `force` is not given."""
        container = live.container
        if container.id not in self._parts.lives:
            raise NotFound(f"No such container: {container.id}")
        self._parts.store.check_removable()
        if container.state.status is Status.REMOVING and live.lock.locked():
            raise Conflict(f"removal of container {container.name} is already in progress")
        while not await self._remove_stopped(live, volumes=volumes):
            if not force:
                raise Conflict(
                    f'cannot remove container "/{container.name}": container is'
                    f" {container.state.status}: stop the container before removing or force remove"
                )
            await self._stopping.force_down(live)

    async def _remove_stopped(self, live: Live, *, volumes: bool) -> bool:
        """False where the container runs, or does so once a start under way is done.

        A removal that failed (a full disk) is done again.
        """
        container = live.container
        async with live.lock:
            status = container.state.status
            if container.id not in self._parts.lives:
                return True
            if status.is_up or status is Status.RESTARTING:
                return False
            intent = "remove with volumes" if volumes else ""
            self._parts.store.advance(container, Event.REMOVE, intent=intent)
            await self.finish(live, volumes=volumes)
        return True

    async def finish(self, live: Live, *, volumes: bool) -> None:
        """Take away a container that is marked for removal; the lock is held."""
        container, parts = live.container, self._parts
        await live.end_copies()
        await drop_log(live)
        if live.log is not None and live.log.sender is not None:
            parts.tasks.start(live.log.sender.close(), f"log {container.short_id}")
        await parts.storage.remove(container, anonymous_volumes=volumes)
        parts.store.delete(container)
        parts.lives.pop(container.id, None)
        announce(parts.events, container, "destroy")
        live.fail_pending()
        live.stopped.resolve(container.state.exit_code)
        live.removed.resolve(container.state.exit_code)
