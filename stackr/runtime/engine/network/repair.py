"""Networks that somebody has taken apart: what is missing of them, and how it comes back.

A bridge that was deleted, an address, a pair, a rule. Containers go on meanwhile: what connects
them is made again around them, with the same addresses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

from stackr.errors import StackrError
from stackr.runtime.engine.network import endpoint as kernel_endpoint
from stackr.runtime.engine.network.bridges import Bridges
from stackr.runtime.engine.network.endpoint import Plug
from stackr.runtime.engine.network.kernel import Kernel
from stackr.runtime.engine.network.pairs import Pairs, read_faults
from stackr.runtime.engine.network.sandbox import Sandbox
from stackr.runtime.engine.network.sandboxes import Sandboxes
from stackr.runtime.engine.network.types import Fault, Network

__all__ = ["Repairs"]

_log = logging.getLogger(__name__)


class Repairs:
    """locked: a container's turn, by its ID."""

    def __init__(
        self,
        kernel: Kernel,
        bridges: Bridges,
        sandboxes: Sandboxes,
        locked: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        self._kernel = kernel
        self._bridges = bridges
        self._sandboxes = sandboxes
        self._locked = locked
        self._pairs = Pairs()
        self._later: set[asyncio.Task[None]] = set()

    async def faults(self, network: Network) -> list[Fault]:
        """What the kernel does not have of a network; a predefined one is made when it is used."""
        joined = self._joined(network)
        if not network.is_plugged or (network.is_predefined and not joined):
            return []
        pairs = [(s.pid, i) for s in joined if (i := self._plug_of(s, network)) is not None]
        of_pairs = self._kernel.call(self._pairs.faults, network, pairs)
        if not network.bridge:
            return await of_pairs
        of_bridge, found = await asyncio.gather(self._bridges.faults(network), of_pairs)
        return [*of_bridge, *found]

    async def repair(self, network: Network) -> None:
        """Raises Conflict where another's interface has the bridge's name, Internal otherwise."""
        if await self.faults(network):
            await self._bridges.repair(network)
            await self._repair_pairs(network)

    async def ensure_bridge(self, network: Network) -> None:
        """Have the bridge of a network that a container joins now; others are joined again later.

        The caller has a container's turn, and must not wait for the others'.
        """
        if await self._bridges.is_lost(network):
            await self._bridges.repair(network)
            task = asyncio.create_task(self._repair_quietly(network))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def settle(self, networks: list[Network]) -> None:
        """At a start, when the bridges are made and the running containers adopted."""
        joined: dict[str, list[Sandbox]] = {}
        for sandbox in self._sandboxes.all():
            for endpoint in sandbox.record.endpoints:
                joined.setdefault(endpoint.network_id, []).append(sandbox)
        used = [network for network in networks if network.id in joined]
        await asyncio.gather(*(self._repair_quietly(n, joined[n.id]) for n in used))

    async def close(self) -> None:
        if self._later:
            await asyncio.wait(self._later)

    def _joined(self, network: Network, among: Iterable[Sandbox] | None = None) -> list[Sandbox]:
        """The running containers on the network."""
        return [
            sandbox
            for sandbox in (self._sandboxes.all() if among is None else among)
            if sandbox.pid and self._plug_of(sandbox, network) is not None
        ]

    def _plug_of(self, sandbox: Sandbox, network: Network) -> Plug | None:
        """How a container is connected to a network; None where it is not."""
        own = [e for e in sandbox.record.endpoints if e.network_id == network.id and e.interface]
        return next(iter(self._sandboxes.plugs(own) or []), None)

    async def _repair_quietly(
        self, network: Network, among: Iterable[Sandbox] | None = None
    ) -> None:
        try:
            await self._repair_pairs(network, among)
        except StackrError as error:
            _log.warning("network %s: cannot be repaired: %s", network.name, error)

    async def _repair_pairs(self, network: Network, among: Iterable[Sandbox] | None = None) -> None:
        for sandbox in self._joined(network, among):
            id = sandbox.record.container_id
            async with self._locked(id):
                item = self._plug_of(sandbox, network)
                if item is None or self._sandboxes.get(id) is not sandbox:
                    continue
                faults = await self._kernel.call(read_faults, network, [(sandbox.pid, item)])
                if not faults:
                    continue
                endpoints = sandbox.record.endpoints
                await self._kernel.call(kernel_endpoint.replug, sandbox.pid, item, endpoints)
                for fault in faults:
                    _log.warning("network %s: %s was %s", network.name, fault.what, fault.found)
