"""The engines that Docker's clients are tried on: stackr's own, and a dockerd beside it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import loopback_registry
import private_dockerd

__all__ = ["DOCKERD", "EMBEDDED", "Peer", "dockerd_beside"]

EMBEDDED = "embedded"
DOCKERD = "dockerd"


@dataclass(frozen=True)
class Peer:
    """kind: of the two above. entering: what leads to where its ports are published."""

    kind: str
    socket: Path
    entering: tuple[str, ...] = ()

    @property
    def is_dockerd(self) -> bool:
        return self.kind == DOCKERD

    def fetch(self, address: str) -> str:
        """What a web server at host:port answers; "" where there is none."""
        argv = [*self.entering, "curl", "-s", "-m", "5", f"http://{address}/"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout


@contextlib.contextmanager
def dockerd_beside(registry_folder: Path, registry: str) -> Iterator[Peer]:
    """A dockerd that reaches the registry under its usual address, on a network of its own."""
    with private_dockerd.serve(default_bridge=True) as socket:
        entering = private_dockerd.entering(socket)
        with loopback_registry.run(registry_folder, registry, entering):
            yield Peer(DOCKERD, socket, tuple(entering))
