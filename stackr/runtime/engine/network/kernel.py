"""The one thread through which the network part changes the kernel.

One thread, as the kernel takes network changes one at a time anyhow, and as only a thread of our
own may visit other namespaces. Calls run in the order they were made; firewall changes that are
made meanwhile are committed together, as one transaction.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Concatenate, ParamSpec, TypeVar

from stackr.runtime.engine.linux import netns
from stackr.runtime.engine.linux.link_changes import LinkChanges
from stackr.runtime.engine.linux.netlink import RouteSocket
from stackr.runtime.engine.linux.nft_elements import ElementChange, element_messages
from stackr.runtime.engine.linux.nftables import INET, Nftables, NftError
from stackr.runtime.engine.network.firewall import SETS, Firewall
from stackr.runtime.engine.network.listing import Listing

__all__ = ["Host", "Kernel"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Host:
    """The host's network namespace, as the kernel thread sees it. Made and used on that thread."""

    def __init__(self) -> None:
        self.namespace = netns.open_current()
        self.route = RouteSocket()
        self.nftables = Nftables()
        self.link_changes = LinkChanges.open()

    def close(self) -> None:
        if self.link_changes is not None:
            self.link_changes.close()
        self.nftables.close()
        self.route.close()
        os.close(self.namespace)


_parsed = lru_cache(maxsize=1)(Listing.parse)
_LOOKS = 3
_MOST_LOOKS = 30  # where our own changes come one after the other
_LOOK_AGAIN_S = 0.02


class Kernel:
    """Runs functions of a `Host` on the kernel thread, and keeps the firewall as desired."""

    def __init__(self, firewall: Firewall) -> None:
        self.firewall = firewall
        self._executor = ThreadPoolExecutor(1, "stackr-network")
        self._host: Host | None = None
        self._committed = False
        self._rules = ""  # as the kernel told them once they were made
        self._changes = 0
        self._pending: list[tuple[Sequence[ElementChange] | None, asyncio.Future[None]]] = []
        self._drain: asyncio.Task[None] | None = None

    async def call(
        self, function: Callable[Concatenate[Host, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """`function(host, ...)` on the kernel thread. A cancelled call still runs to its end."""

        def run() -> _T:
            if self._host is None:
                self._host = Host()
            return function(self._host, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    async def commit(self, changes: Sequence[ElementChange]) -> None:
        """Bring a change of `self.firewall` to the kernel. Raises NftError.

        Where the table is not as it should be (flushed by someone else), it is made anew.
        """
        if changes:
            await self._queue(changes)

    async def _queue(self, changes: Sequence[ElementChange] | None) -> None:
        """changes: None to make the whole table anew."""
        self._changes += 1
        future = asyncio.get_running_loop().create_future()
        self._pending.append((changes, future))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._commit_pending())
        await future

    async def rebuild(self) -> None:
        """Make the whole table anew. Raises NftError."""
        await self._queue(None)

    async def is_firewall_whole(self) -> bool:
        """Whether the table is as it was made, by all that can be listed.

        What is being changed this moment is not there yet, and not missing; and a listing may fail
        while others change theirs: only what is not there at several looks is gone.
        """
        looks = 0
        for _ in range(_MOST_LOOKS):
            before = self._changes
            if await self._is_whole():
                return True
            if self._drain is not None and not self._drain.done():
                await asyncio.wait([self._drain])
            elif before == self._changes:
                looks += 1
                if looks == _LOOKS:
                    break
                await asyncio.sleep(_LOOK_AGAIN_S)
        return False

    async def _is_whole(self) -> bool:
        firewall = self.firewall
        if not firewall.bridges:
            return True
        wanted = Listing(self._rules, firewall.elements())
        return self._committed and await self.call(_is_listed, firewall.listing(), wanted)

    def _rebuild(self, host: Host, commands: str, listing: str) -> None:
        host.nftables.run(commands)
        self._rules = Listing.parse(host.nftables.run(listing)).rules

    async def destroy_firewall(self) -> None:
        """Remove the table; the next commit makes it again."""
        self._committed = False
        await self.call(self._destroy)

    def _destroy(self, host: Host) -> None:
        # Deleting waits for the kernel's grace period, so first see whether there is anything.
        if (INET, self.firewall.table) in host.nftables.tables():
            host.nftables.run(self.firewall.destroy())

    async def close(self) -> None:
        if self._drain is not None:
            await self._drain
        if self._host is not None:
            await self.call(Host.close)
            self._host = None
        self._executor.shutdown()

    async def _commit_pending(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            failure: NftError | None = None
            if any(changes is None for changes, _ in batch):
                self._committed = False
            try:
                await self._commit_batch([each for changes, _ in batch for each in changes or ()])
            except NftError as error:
                failure = error
            for _, future in batch:
                if future.done():
                    continue
                if failure is None:
                    future.set_result(None)
                else:
                    future.set_exception(failure)

    async def _commit_batch(self, changes: Sequence[ElementChange]) -> None:
        if self._committed:
            try:
                messages = element_messages(self.firewall.table, SETS, changes)
                await self.call(lambda host: host.nftables.transact(messages))
            except (NftError, ValueError):
                self._committed = False
            else:
                return
        await self.call(self._rebuild, self.firewall.rebuild(), self.firewall.listing())
        self._committed = True


def _is_listed(host: Host, listing: str, wanted: Listing) -> bool:
    try:
        return _parsed(host.nftables.look(listing)) == wanted
    except NftError:
        return False
