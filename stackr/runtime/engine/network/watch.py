"""See that the firewall stays as it was made: a flush is noticed by the kernel's notifications.

Our own table is made anew at once. Where another firewall comes to drop what is forwarded, it is
told to accept our bridges (`foreign.py`): iptables on nf_tables is noticed as well; its older form
gives no notice, and is looked at with every change of the networks.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from stackr.errors import StackrError
from stackr.runtime.engine.linux.monitor import Transactions
from stackr.runtime.engine.network.foreign import ForeignFirewall
from stackr.runtime.engine.network.kernel import Host, Kernel

__all__ = ["FirewallWatch"]

_INET = 1
_FOREIGN = {(socket.AF_INET, "filter"), (socket.AF_INET6, "filter")}
_PAUSE_S = 0.1  # between two repairs: somebody may flush again and again
_log = logging.getLogger(__name__)


class FirewallWatch:
    """table: our own. From `open` to `close`, on the event loop."""

    def __init__(self, table: str, kernel: Kernel, foreign: ForeignFirewall) -> None:
        self._table = table
        self._kernel = kernel
        self._foreign = foreign
        self._transactions: Transactions | None = None
        self._own_thread = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        transactions, self._own_thread = await self._kernel.call(_listen)
        self._transactions = transactions
        asyncio.get_running_loop().add_reader(transactions, self._read)
        self._task = asyncio.create_task(self._tend())

    async def close(self) -> None:
        if self._transactions is None or self._task is None:
            return
        asyncio.get_running_loop().remove_reader(self._transactions)
        self._transactions.close()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._transactions = None

    def _read(self) -> None:
        """Ours are made by a thread of ours; taken for another's, they cost a look."""
        if self._transactions is None:
            return
        concerned = {(_INET, self._table), *_FOREIGN}
        for transaction in self._transactions.read():
            tables = transaction.tables
            if transaction.author != self._own_thread and (
                tables is None or not concerned.isdisjoint(tables)
            ):
                self._changed.set()

    async def _tend(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._mend()
            except StackrError as error:
                _log.error("networks: the firewall cannot be repaired: %s", error)
            await asyncio.sleep(_PAUSE_S)

    async def _mend(self) -> None:
        if not await self._kernel.is_firewall_whole():
            await self._kernel.rebuild()
            _log.warning(
                "networks: table %s was changed by somebody else, and is written again", self._table
            )
        if await self._foreign.accept(self._kernel, self._kernel.firewall.bridges):
            _log.warning("networks: another firewall drops what is forwarded: made it accept ours")


def _listen(host: Host) -> tuple[Transactions, int]:
    return Transactions(), host.nftables.thread_id
