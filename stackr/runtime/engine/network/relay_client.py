"""The daemon's side of the relay process: which ports it holds, and whom they lead to."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.sidecar_client import Program, SidecarClient
from stackr.runtime.engine.network.ports import HeldPort, Key
from stackr.runtime.engine.network.relay import wire

__all__ = ["RelayClient"]

_MODULE = "stackr.runtime.engine.network.relay.program"
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class RelayClient:
    """keys: of the ports whose sockets the process has.

    lost: called when the process has gone; then it has none.
    """

    def __init__(self, path: Path, lost: Callable[[], None]) -> None:
        self.keys: set[Key] = set()
        self._lost = lost
        self._lent: dict[Key, socket.socket] = {}
        self._sidecar = SidecarClient(Program("relay", _MODULE, path), self._went)

    @property
    def is_connected(self) -> bool:
        return self._sidecar.is_connected

    @property
    def pid(self) -> int | None:
        return self._sidecar.pid

    async def find(self) -> None:
        """Connect to the process that an earlier daemon has left, if there is one.

        An unfit one is ended: its ports are free once this returns. The sockets of reserved ports
        are had back, to be held here as well.
        """
        found = [(_key(key), is_reserved) for key, is_reserved in await self._find()]
        self.keys.update(key for key, _ in found)
        for some in _parts([key for key, is_reserved in found if is_reserved], wire.PORTS):
            answer, fds = await self._sidecar.ask({"lend": some})
            for key, fd in zip(answer["lent"], fds, strict=True):
                lent = self._lent[_key(key)] = socket.socket(fileno=fd)
                lent.setblocking(False)  # or its duplicates would be, and with them the relay's

    async def _find(self) -> list[Any]:
        found = await self._sidecar.find(wire.PROTOCOL)
        self._sidecar.end_outdated()
        await self._sidecar.outdated_ended()
        return found

    def lent(self, key: Key) -> socket.socket | None:
        """A reserved port's socket, the caller's from now on."""
        return self._lent.pop(key, None)

    def settle(self) -> None:
        """Nobody asks for what is lent any more."""
        while self._lent:
            self._lent.popitem()[1].close()

    def start(self) -> None:
        """Start the process, where there is no connection to one. Raises Internal."""
        self._sidecar.start()

    def serve(self, container_id: str, pid: int, address: str, ports: Iterable[HeldPort]) -> None:
        """Lead the ports to a container: hand their sockets over, where it has not got them.

        pid: the container's first process. One that has ended this moment gets none.
        """
        ports = list(ports)
        for some in _parts([port for port in ports if not port.is_here], wire.PORTS):
            self._lead("lead", container_id, pid, address, some)
        for some in _parts([port for port in ports if port.is_here], wire.PORTS):
            self._lead("serve", container_id, pid, address, some)

    def _lead(
        self, verb: str, container_id: str, pid: int, address: str, ports: Sequence[HeldPort]
    ) -> None:
        fds = [port.socket.detach() for port in ports if port.socket is not None and port.is_here]
        try:
            process = os.pidfd_open(pid)
        except OSError as error:
            _log.info("container %s: its ports lead nowhere: %s", container_id[:12], error)
            for fd in fds:
                os.close(fd)
            return
        documents = [
            (port.key, address, port.published.container_port, port.is_reserved) for port in ports
        ]
        self._sidecar.send({verb: container_id, "ports": documents}, [process, *fds])
        if verb == "serve" and self._sidecar.is_connected:
            self.keys |= {port.key for port in ports}

    def cut(self, container_id: str) -> None:
        """End the connections to a container."""
        self._sidecar.send({"cut": container_id})

    async def close_ports(self, keys: Iterable[Key]) -> None:
        """They are free once this returns."""
        known = self.keys.intersection(keys)
        self.keys -= known
        for some in _parts(sorted(known), wire.PORTS):
            await self._done({"close": some})

    async def forget(self, container_id: str) -> None:
        """Its connections have ended once this returns."""
        await self._done({"forget": container_id})

    async def count(self, container_id: str) -> int:
        """How many clients are being served by a container through the process."""
        if not self._sidecar.is_connected:
            return 0
        answer, _ = await self._sidecar.ask({"count": container_id})
        clients: int = answer["clients"]
        return clients

    async def close(self) -> None:
        """Leave the process to itself; where it has no port, see it end."""
        self.settle()
        await self._sidecar.close(is_idle=not self.keys)

    async def _done(self, message: dict[str, Any]) -> None:
        """Where the process has gone, everything of it has."""
        try:
            if self._sidecar.is_connected:
                await self._sidecar.ask(message)
        except Unavailable as error:
            _log.warning("%s", error)

    def _went(self) -> None:
        self.keys.clear()
        self._lost()


def _key(document: Sequence[Any]) -> Key:
    protocol, host, port = document
    return protocol, host, port


def _parts(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
