"""Which addresses a container had when it ended: it gets them again, where they are free.

So does another that takes its place under the same name, or as the same replica of a service, and
whoever remembers the address (a proxy, a client with a cache) finds it there. Others get such an
address only where no other is left. A full disk keeps nobody from ending: then it is forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stackr.errors import StackrError
from stackr.runtime.engine.records import Document, Kind
from stackr.runtime.engine.state import State

__all__ = ["ADDRESS", "RestingAddresses"]

_MOST = 256  # of a network; the oldest are forgotten
_log = logging.getLogger(__name__)


class RestingAddresses:
    """By network ID and slot: what a container has in common with one that takes its place."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._slots: dict[str, dict[str, tuple[str, ...]]] = {}

    def load(self) -> None:
        self._slots = self._state.read(ADDRESS)

    def of(self, network_id: str, slot: str) -> Sequence[str]:
        """What a container in this slot had last."""
        return self._slots.get(network_id, {}).get(slot, ())

    def others(self, network_id: str, slot: str) -> Sequence[str]:
        """What the others had, who ended first first."""
        slots = self._slots.get(network_id, {})
        return [a for other, addresses in slots.items() if other != slot for a in addresses]

    def rest(self, network_id: str, slot: str, *addresses: str) -> None:
        """A container has ended, and had these; "" is none."""
        slots = self._slots.setdefault(network_id, {})
        had = {address for address in addresses if address}
        for other in [other for other, theirs in slots.items() if had.intersection(theirs)]:
            del slots[other]
        slots.pop(slot, None)
        slots[slot] = tuple(sorted(had))
        while len(slots) > _MOST:
            del slots[next(iter(slots))]
        try:
            self._state.save(ADDRESS, network_id, slots)
        except StackrError as error:
            _log.warning("%s", error)

    def forget(self, network_id: str) -> None:
        """The network has gone."""
        if self._slots.pop(network_id, None) is not None:
            self._state.delete(ADDRESS.name, network_id)


def _slots_from(_: str, document: Document) -> dict[str, tuple[str, ...]]:
    return {slot: tuple(addresses) for slot, addresses in document["slots"]}


ADDRESS: Kind[dict[str, tuple[str, ...]]] = Kind(
    "address", parse=_slots_from, dump=lambda slots: {"slots": list(slots.items())}
)
