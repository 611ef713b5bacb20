"""The daemon's side of the resolver process: what it is told, and which containers it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stackr.runtime.engine.linux.sidecar_client import Program, SidecarClient
from stackr.runtime.engine.network.resolver import wire

__all__ = ["ResolverClient"]

_MODULE = "stackr.runtime.engine.network.resolver.program"

Document = Mapping[str, Any]


class ResolverClient:
    """serves: the containers, by ID, whose sockets the process has.

    lost: called when the process has gone; it served everything that it had, and does not now.
    """

    def __init__(self, path: Path, resolv_conf: Path, lost: Callable[[], None]) -> None:
        self.serves: set[str] = set()
        self._lost = lost
        program = Program("resolver", _MODULE, path, (str(resolv_conf),))
        self._sidecar = SidecarClient(program, self._went)

    @property
    def is_connected(self) -> bool:
        return self._sidecar.is_connected

    @property
    def pid(self) -> int | None:
        return self._sidecar.pid

    async def find(self) -> None:
        """Connect to the process that an earlier daemon has left, if there is one."""
        self.serves = set(await self._sidecar.find(wire.PROTOCOL))

    def start(self) -> None:
        """Start the process, where there is no connection to one. Raises Internal."""
        self._sidecar.start()

    def end_outdated(self) -> None:
        """End those that `find` found unfit, once another serves their containers."""
        self._sidecar.end_outdated()

    def serve(self, container: Document, fds: Sequence[int]) -> None:
        """Hand a container over, in the words of `wire.py`; the descriptors are closed here."""
        self._sidecar.send({"serve": container}, fds)
        if self._sidecar.is_connected:
            self.serves.add(container["id"])

    def update(self, containers: Sequence[Document]) -> None:
        """Change what is known of containers that it serves, of all at once."""
        self._sidecar.send({"update": containers})

    def forget(self, container_ids: Iterable[str]) -> None:
        known = [id for id in container_ids if id in self.serves]
        self.serves.difference_update(known)
        for start in range(0, len(known), wire.FORGOTTEN_IDS):
            self._sidecar.send({"forget": known[start : start + wire.FORGOTTEN_IDS]})

    async def close(self) -> None:
        """Leave the process to itself; where it serves nothing, see it end."""
        await self._sidecar.close(is_idle=not self.serves)

    def _went(self) -> None:
        self.serves.clear()
        self._lost()
