"""What of the pairs that connect containers to a network is not as it was made.

To read one takes some tenths of a millisecond, as part of it is in the container's namespace. What
was read holds until the kernel tells of a change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from stackr.runtime.engine.network.endpoint import Plug, pair_faults
from stackr.runtime.engine.network.kernel import Host
from stackr.runtime.engine.network.types import Fault, Network

__all__ = ["Pair", "Pairs", "read_faults"]

Pair = tuple[int, Plug]
"""A process of a running container, and how that is connected."""


class Pairs:
    """Used on the kernel thread alone."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Sequence[Pair], Sequence[Fault]]] = {}

    def faults(self, host: Host, network: Network, pairs: Sequence[Pair]) -> list[Fault]:
        """Of all containers on a network.

        Only a pair leads from here into the container's namespace, so that its changes are told:
        what is on one of the host's links by itself is read each time.
        """
        if host.link_changes is None or not network.bridge:
            return read_faults(host, network, pairs)
        if host.link_changes.any():
            self._known.clear()
        before, found = self._known.get(network.id, (None, ()))
        if before != pairs:
            found = read_faults(host, network, pairs)
            self._known[network.id] = pairs, found
        return [*found]


def read_faults(host: Host, network: Network, pairs: Iterable[Pair]) -> list[Fault]:
    """As the kernel has them now."""
    found: list[Fault] = []
    bridge = host.route.link(network.bridge) if network.bridge else None
    for pid, item in pairs:
        with contextlib.suppress(OSError):  # it has ended this moment
            found += pair_faults(host, pid, item, bridge)
    return found
