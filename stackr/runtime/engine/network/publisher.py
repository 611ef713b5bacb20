"""Published ports of the running containers: what the relay process is told, and when.

The ports are bound here (`ports.py`) and handed over. A process that has gone is started again, and
given new sockets.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from stackr.errors import Internal
from stackr.runtime.engine.linux.sidecar_recovery import Recovery
from stackr.runtime.engine.network.ports import HeldPort, HostPorts, Key, Take
from stackr.runtime.engine.network.relay_client import RelayClient
from stackr.runtime.engine.network.sandbox import Sandbox

__all__ = ["Publisher"]

_log = logging.getLogger(__name__)


class Publisher:
    """running: the sandboxes that there are. ephemeral, take: as HostPorts has them."""

    def __init__(
        self,
        relay_socket: Path,
        ephemeral: tuple[int, int],
        take: Take,
        running: Callable[[], Iterable[Sandbox]],
    ) -> None:
        self._running = running
        self._client = RelayClient(relay_socket, self._lost)
        self._recovery = Recovery(self._serve_again)
        self.host_ports = HostPorts(ephemeral, take, self._client.keys)

    async def open(self) -> None:
        """Find the process that an earlier daemon has left."""
        await self._client.find()

    async def close(self) -> None:
        """The process goes on where it has a port."""
        await self._recovery.close()
        await self._client.close()

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none."""
        return self._client.pid

    def lent(self, key: Key) -> socket.socket | None:
        """The socket of a reserved port that the process has had since an earlier daemon."""
        return self._client.lent(key)

    def hold_again(self, sandbox: Sandbox) -> None:
        """The ports that are recorded, after a restart of this process or of the relay."""
        target = sandbox.record.publishing
        if target is not None:
            record = sandbox.record
            held = self.host_ports.hold_again(record.ports, target, project=record.project)
            sandbox.held = held.ports

    def serve(self, sandbox: Sandbox, ports: Iterable[HeldPort] | None = None) -> None:
        """Lead its ports to it, or some of what it is to have. Raises Internal."""
        ports = list(sandbox.held if ports is None else ports)
        if ports and not self._client.is_connected and not self._recovery.is_under_way:
            self._client.start()
            self._recovery.started()
        self.lead(sandbox, ports)

    def lead(self, sandbox: Sandbox, ports: Iterable[HeldPort]) -> None:
        """The same, where the process runs or is about to."""
        record = sandbox.record
        target = record.publishing or record.gateway
        if target is not None:
            self._client.serve(record.container_id, sandbox.pid, target.ipv4_address, ports)

    async def close_ports(self, ports: Iterable[HeldPort]) -> None:
        """They are free once this returns."""
        ports = list(ports)
        await self._client.close_ports(port.key for port in ports)
        for port in ports:
            port.close()

    async def release(self, sandbox: Sandbox) -> None:
        """A container has ended: its ports are free, and who was led to it is cut off."""
        await self._client.forget(sandbox.record.container_id)
        held, sandbox.held = sandbox.held, ()
        await self.close_ports(held)

    def cut(self, sandbox: Sandbox) -> None:
        """End the connections to it that go through the relay."""
        self._client.cut(sandbox.record.container_id)

    async def count(self, sandbox: Sandbox) -> int:
        """How many clients it serves through the relay. Raises Unavailable."""
        return await self._client.count(sandbox.record.container_id)

    async def settle(self) -> None:
        """Every running container has been adopted: the process has the ports of these alone."""
        known = {port.key for sandbox in self._running() for port in sandbox.held}
        await self._client.close_ports(self._client.keys - known)
        self._client.settle()

    # --- after the process has gone ----------------------------------------------------------

    def _lost(self) -> None:
        if any(sandbox.held for sandbox in self._running()):
            self._recovery.begin()

    async def _serve_again(self) -> bool:
        try:
            self._client.start()
        except Internal as error:
            _log.error("%s", error)
            return False
        for sandbox in [sandbox for sandbox in self._running() if sandbox.held and sandbox.pid]:
            for port in sandbox.held:
                port.close()
            self.hold_again(sandbox)
            self.serve(sandbox)
        return self._client.is_connected
