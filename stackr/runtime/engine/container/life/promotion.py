"""A container in standby takes its place, or another's: checks, and what its records then say.

The change is one transaction of the records, which the network part opens when the kernel has
turned; before it nothing has happened, after it everything has, whenever the daemon is killed.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from stackr.errors import Conflict, InvalidArgument, NotFound
from stackr.runtime.engine.container.life.networking import container_net
from stackr.runtime.engine.container.needs import NetworkAccess
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import STANDBY_LABEL, Container
from stackr.runtime.engine.container.records.state import Verb, check
from stackr.runtime.engine.container.records.store import Store

__all__ = ["Promotion", "is_in_standby"]


class Promotion:
    """`run` may be called again: a promotion that has been made is left as it is."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._networks = parts.networks

    async def run(self, live: Live, other: Live | None) -> bool:
        """Whether anything was to do. other: the one whose place it takes, running or not.

        The other then is in standby itself, also when it is started again, until it is promoted
        back or its successor is removed. Raises Conflict where the container is not running or not
        in standby, and with Docker's text for a port that somebody else has.
        """
        if live is other:
            raise InvalidArgument(f"container {live.container.id} cannot take its own place")
        async with AsyncExitStack() as locks:
            both = [each for each in (live, other) if each is not None]
            for each in sorted(both, key=lambda each: each.container.id):
                await locks.enter_async_context(each.lock)
            container, old = live.container, other.container if other else None
            check(container.state.status, Verb.PROMOTE, id=container.id, name=container.name)
            if old is not None and old.id not in self._store:
                raise NotFound(f"No such container: {old.id}")  # it went while we waited
            if not is_in_standby(container, self._store, self._networks):
                _check_promoted(container, old)
                return False
            await self._promote(container, old)
            return True

    async def _promote(self, container: Container, old: Container | None) -> None:
        before = [(each, each.standby, each.replaced_by) for each in (container, old) if each]

        def record() -> None:
            container.standby, container.replaced_by = False, ""
            self._store.put(container)
            if old is not None:
                old.replaced_by = container.id
                self._store.put(old)

        try:
            if container.endpoints:
                net, replaces = container_net(container), old.id if old else ""
                await self._networks.promote(net, replaces, record)
            else:
                record()
        except BaseException:
            for each, standby, replaced_by in before:
                each.standby, each.replaced_by = standby, replaced_by
            raise


def is_in_standby(container: Container, store: Store, networks: NetworkAccess) -> bool:
    """Whether it has, or would be started with, neither its ports nor its service's names."""
    sandbox = networks.sandbox(container.id)
    return store.starts_in_standby(container) if sandbox is None else sandbox.standby


def _check_promoted(container: Container, old: Container | None) -> None:
    """Raise Conflict unless this very promotion has been made."""
    if old is not None:
        is_done = old.replaced_by == container.id
    else:
        is_done = container.config.labels.get(STANDBY_LABEL) == "true"
    if not is_done:
        raise Conflict(f"container {container.name} is not in standby: it has its ports and names")
