"""The bridges of the networks and the rules about them: made once, swept after a crash."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Iterable, Sequence

from stackr.errors import StackrError
from stackr.runtime.engine.network import bridge, direct
from stackr.runtime.engine.network.firewall import Forwarding
from stackr.runtime.engine.network.foreign import ForeignFirewall
from stackr.runtime.engine.network.kernel import Kernel
from stackr.runtime.engine.network.store import NetworkStore
from stackr.runtime.engine.network.types import Fault, Network
from stackr.runtime.engine.network.watch import FirewallWatch

__all__ = ["Bridges"]

_TRIES = 20
_APART_S = 0.1
_log = logging.getLogger(__name__)


class Bridges:
    """owner: the alias by which the engine knows its own bridges, and its table's name."""

    def __init__(self, owner: str, kernel: Kernel, store: NetworkStore) -> None:
        self._owner = owner
        self._kernel = kernel
        self._store = store
        self._foreign = ForeignFirewall(owner)
        self._watch = FirewallWatch(owner, kernel, self._foreign)
        self._realised: dict[str, asyncio.Task[Network]] = {}

    async def open(
        self,
        wanted: Sequence[Network],
        pairs: Collection[str],
        forwardings: Iterable[Forwarding],
        *,
        sweep: bool,
    ) -> None:
        """These networks' bridges and rules are there.

        pairs: the host's ends of the containers' pairs. sweep: none of ours is there besides.
        """
        names = {network.bridge for network in wanted}
        await self._watch.open()
        if sweep:
            await self._kernel.call(bridge.sweep, self._owner, names, pairs)
            await self._kernel.call(direct.sweep, self._owner, self._links())
        await self._foreign.find(self._kernel)
        if not wanted and not sweep:
            return
        if not wanted:
            await self._kernel.destroy_firewall()
            await self._foreign.withdraw(())
            return
        # The whole table at once: what runs is never without its rules, nor without isolation.
        firewall = self._kernel.firewall
        ruled = [n for n in (*wanted, *self._store.glimpsed) if n.bridge]
        firewall.add([bridge.bridge_rules(network) for network in ruled], forwardings)
        await self._kernel.rebuild()
        results = await asyncio.gather(
            *(self.realise(network) for network in wanted), return_exceptions=True
        )
        for network, result in zip(wanted, results, strict=True):
            if isinstance(result, StackrError):
                _log.warning("network %s is not usable: %s", network.name, result)
            elif isinstance(result, BaseException):
                raise result
        await self._foreign.accept(self._kernel, firewall.bridges)

    async def close(self, *, remove: bool) -> None:
        """remove: leave nothing in the kernel. What is being made is seen to its end."""
        await self._watch.close()
        while being_made := [task for task in self._realised.values() if not task.done()]:
            await asyncio.wait(being_made)
        if remove:
            await self._kernel.call(bridge.sweep, self._owner, (), ())
            await self._kernel.call(direct.sweep, self._owner, ())
            await self._kernel.destroy_firewall()
            await self._foreign.withdraw(())

    async def realise(self, network: Network, *, is_new: bool = False) -> Network:
        """Make the network's bridge and rules, once however many ask; returns it as it is then.

        is_new: its subnets have just been chosen, and are chosen anew where others take them.
        """
        if network.is_direct:
            await self._kernel.call(direct.realise, network, self._owner, is_new=is_new)
            return network
        task = self._realised.get(network.id)
        if task is None:
            task = asyncio.create_task(self._make(network, is_new=is_new))
            self._realised[network.id] = task
        try:
            return await asyncio.shield(task)
        except StackrError:
            self._realised.pop(network.id, None)
            raise

    async def usable(self, network: Network) -> Network:
        """The network with its bridge made; the default one's subnet may be chosen anew."""
        if not network.is_plugged:
            return network
        is_new = network.is_predefined and network.id not in self._realised
        if is_new:
            network = self._store.refresh(network)
        return await self.realise(network, is_new=is_new)

    async def is_lost(self, network: Network) -> bool:
        """Whether a bridge that was made is not there any more."""
        if not network.bridge or network.id not in self._realised:
            return False
        return not await self._kernel.call(bridge.is_there, network)

    async def faults(self, network: Network) -> list[Fault]:
        """What of the bridge and the rules is not as it was made."""
        firewall = self._kernel.firewall
        is_guarded = firewall.routes_loopback
        found, is_whole, dropping = await asyncio.gather(
            self._kernel.call(bridge.faults, network, self._owner, is_guarded=is_guarded),
            self._kernel.is_firewall_whole(),
            self._foreign.drops(self._kernel, [network.bridge]),
        )
        if network.bridge not in firewall.bridges or not is_whole:
            found.append(Fault("firewall", "missing or changed", f"table inet {self._owner}"))
        return [*found, *(Fault(f"{each} FORWARD", "dropping", "accepting") for each in dropping)]

    async def repair(self, network: Network) -> None:
        """Make again what is missing of the bridge and the rules."""
        task = self._realised.get(network.id)
        if task is not None and task.done():
            del self._realised[network.id]
        await self.realise(network)
        if network.bridge:
            await self._kernel.call(bridge.restore_routes, network)
            await self._foreign.accept(self._kernel, self._kernel.firewall.bridges)
        if network.bridge and not await self._kernel.is_firewall_whole():
            await self._kernel.rebuild()

    async def discard(self, network: Network) -> None:
        """Remove the network: its record first, so that no container comes to its bridge.

        What a crash leaves of the bridge, the next start sweeps.
        """
        self._store.forget(network)
        if network.is_direct and (link := direct.place_of(network).link) not in self._links():
            await self._kernel.call(direct.remove, link, self._owner)
        task = self._realised.get(network.id)
        if task is not None:
            await asyncio.wait([task])
            if task.exception() is None:
                await self._kernel.call(bridge.remove, [network.bridge])
        await self.forget(network)

    async def forget(self, network: Network) -> None:
        """Remove a network whose bridge is not ours, or not there."""
        self._store.forget(network)
        firewall = self._kernel.firewall
        await self._kernel.commit(firewall.remove([network.bridge]))
        await self._foreign.withdraw(firewall.bridges)
        self._realised.pop(network.id, None)

    def _links(self) -> set[str]:
        """Of the host, which networks without a bridge have containers on."""
        networks = (*self._store.all(), *self._store.glimpsed)
        return {direct.place_of(network).link for network in networks if network.is_direct}

    async def _make(self, network: Network, *, is_new: bool) -> Network:
        firewall = self._kernel.firewall
        await self._raise_bridge(network)
        if is_new:
            network = await self._settle_apart(network)
        if changes := firewall.add([bridge.bridge_rules(network)]):
            await self._kernel.commit(changes)
            await self._foreign.accept(self._kernel, firewall.bridges)
        return network

    async def _settle_apart(self, network: Network) -> Network:
        """Have subnets to itself, where another engine of this host has chosen the same meanwhile.

        Each looks once its own bridge is to be seen by the other, so that one at least finds the
        clash; who does gives way, for a time by chance, as both may.
        """
        for _ in range(_TRIES):
            if not self._store.clashes(network):
                break
            await self._kernel.call(bridge.remove, [network.bridge])
            await asyncio.sleep(random.uniform(0, _APART_S))
            network = self._store.refresh(network)
            await self._raise_bridge(network)
        return network

    async def _raise_bridge(self, network: Network) -> None:
        firewall = self._kernel.firewall
        is_guarded = await self._kernel.call(bridge.realise, network, self._owner)
        if not is_guarded and firewall.routes_loopback:
            firewall.routes_loopback = False
            await self._kernel.rebuild()
