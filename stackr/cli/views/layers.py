"""How far an image's transfer is, all layers together: downloading first, then extracting.

The words are those of Docker's streams of pulls and pushes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Layers"]

_HERE = frozenset({"Download complete", "Verifying Checksum", "Extracting", "Pull complete"})
_ALL_DONE = frozenset({"Already exists"})


@dataclass(slots=True)
class _Layer:
    """Bytes. is_here: all of it has come. unpacked: of `total`."""

    current: int = 0
    total: int = 0
    is_here: bool = False
    unpacked: int = 0
    is_done: bool = False


@dataclass(slots=True)
class Layers:
    """word: for the transfer itself, such as "Pulling"."""

    word: str
    _by_name: dict[str, _Layer] = field(default_factory=dict)

    def take(self, name: str, status: str, current: int, total: int) -> None:
        """What is told of one layer."""
        layer = self._by_name.setdefault(name, _Layer())
        if status in _ALL_DONE:
            layer.is_here = layer.is_done = True
        elif status in _HERE:
            layer.is_here = True
            layer.total = max(layer.total, total)
            layer.current = layer.total
            if status == "Extracting":
                layer.unpacked = current
            if status == "Pull complete":
                layer.unpacked, layer.is_done = layer.total, True
        elif status in ("Downloading", "Pushing"):
            layer.current, layer.total = current, max(total, current)

    @property
    def _is_extracting(self) -> bool:
        layers = self._by_name.values()
        return all(layer.is_here for layer in layers) and not all(each.is_done for each in layers)

    @property
    def phase(self) -> str:
        return "Extracting" if self._is_extracting else self.word

    @property
    def amount(self) -> tuple[int, int]:
        """Bytes of this phase that are done, and all of them."""
        layers = self._by_name.values()
        total = sum(layer.total for layer in layers)
        if self._is_extracting:
            return sum(layer.unpacked for layer in layers), total
        return sum(layer.current for layer in layers), total
