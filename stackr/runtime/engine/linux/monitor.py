"""nftables' transactions as they are made, by whomever: the kernel's netlink notifications.

iptables' newer form is among them. Source: netlink(7), linux/netfilter/nf_tables.h,
linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from stackr.runtime.engine.linux.netlink_wire import attributes, split, text
from stackr.runtime.engine.linux.notifications import Notifications

__all__ = ["Table", "Transaction", "Transactions"]

_NETLINK_NETFILTER, _NFNLGRP_NFTABLES = 12, 7
_NFGENMSG = struct.Struct("=BBH")
_NFT_MSG_NEWGEN = 15
_NFTA_TABLE, _NFTA_GEN_PROC_PID = 1, 2

Table = tuple[int, str]
"""Its family (`AF_INET` and so on; 1 for inet) and its name."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """tables: those of which something was added, changed or deleted; None where that is lost.

    author: the thread that made it, by its number in the first namespace of PIDs.
    """

    tables: frozenset[Table] | None
    author: int


class Transactions:
    """Those of the network namespace of the thread that makes this, from then on."""

    def __init__(self) -> None:
        self._notifications = Notifications(_NETLINK_NETFILTER, [_NFNLGRP_NFTABLES])
        self._tables: set[Table] = set()

    def fileno(self) -> int:
        return self._notifications.fileno()

    def close(self) -> None:
        self._notifications.close()

    def read(self) -> Iterator[Transaction]:
        """What has come by now; it does not wait."""
        for data in self._notifications.read():
            if data is None:
                yield Transaction(None, 0)
            else:
                yield from self._ended(data)

    def _ended(self, data: bytes) -> Iterator[Transaction]:
        """A transaction's last message says who made it; all may come in several datagrams."""
        for kind, _, _, body in split(data):
            found = attributes(body[_NFGENMSG.size :])
            if kind & 0xFF == _NFT_MSG_NEWGEN:
                author = int.from_bytes(found.get(_NFTA_GEN_PROC_PID, b""), "big")
                yield Transaction(frozenset(self._tables), author)
                self._tables.clear()
            else:
                family, _, _ = _NFGENMSG.unpack_from(body)
                self._tables.add((family, text(found.get(_NFTA_TABLE, b""))))
