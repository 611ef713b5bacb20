"""The networks there are, each found at once by its ID, name or bridge. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stackr.errors import InvalidArgument
from stackr.runtime.engine.network.types import Network

__all__ = ["Catalogue"]


class Catalogue:
    """bridges: the names of theirs; a mapping, so that it can be asked and subtracted as a set."""

    def __init__(self) -> None:
        self._networks: dict[str, Network] = {}
        self._names: dict[str, list[str]] = {}
        self.bridges: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks.values())

    def __contains__(self, id: str) -> bool:
        return id in self._networks

    def keep(self, network: Network) -> None:
        """In place of the one with its ID."""
        self.forget(network.id)
        self._networks[network.id] = network
        self._names.setdefault(network.name, []).append(network.id)
        if network.bridge:
            self.bridges[network.bridge] += 1

    def forget(self, id: str) -> None:
        network = self._networks.pop(id, None)
        if network is None:
            return
        same = self._names[network.name]
        same.remove(id)
        if not same:
            del self._names[network.name]
        if network.bridge and self.bridges[network.bridge] > 1:
            self.bridges[network.bridge] -= 1
        else:
            self.bridges.pop(network.bridge, None)

    def named(self, name: str) -> Network | None:
        """The first of this name."""
        ids = self._names.get(name)
        return self._networks[ids[0]] if ids else None

    def find(self, reference: str) -> Network | None:
        """By ID, name or unique prefix of the ID, in this order. Raises InvalidArgument."""
        found = self._networks.get(reference) or self.named(reference)
        if found is not None or not reference:
            return found
        begun = [id for id in self._networks if id.startswith(reference)]
        if len(begun) > 1:
            raise InvalidArgument(f"network {reference} is ambiguous ({len(begun)} matches found)")
        return self._networks[begun[0]] if begun else None
