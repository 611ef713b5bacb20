"""Names for every running container: what the resolver process is told, and when.

The containers' DNS sockets are made here, in their namespaces, and handed over. A process that has
gone is started again, and given new ones.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stackr.errors import Internal, InvalidArgument, StackrError, Unavailable
from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.linux.sidecar_recovery import Recovery
from stackr.runtime.engine.network import endpoint as kernel_endpoint
from stackr.runtime.engine.network.endpoint import DnsSockets
from stackr.runtime.engine.network.kernel import Kernel
from stackr.runtime.engine.network.resolver import wire
from stackr.runtime.engine.network.resolver_client import ResolverClient
from stackr.runtime.engine.network.sandbox import Sandbox, SandboxRecord
from stackr.runtime.engine.network.types import Endpoint

__all__ = ["Nameserver", "check_names", "described"]

_log = logging.getLogger(__name__)
_SPARE_FDS = 64  # for questions that it passes on
_STEADY_S = 10.0
_FIRST_DELAY_S, _LAST_DELAY_S = 0.1, 10.0


def described(record: SandboxRecord) -> dict[str, Any]:
    """A container in the words of `resolver/wire.py`."""
    is_shut_in = all(endpoint.network_id in record.internal for endpoint in record.endpoints)
    return {
        "id": record.container_id,
        "endpoints": [_endpoint(endpoint) for endpoint in record.endpoints],
        "upstreams": () if is_shut_in else record.dns or None,
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    links = (link.partition(":") for link in endpoint.spec.links)
    return {
        "container": endpoint.container_name,
        "network": endpoint.network_id,
        "network_name": endpoint.network_name,
        "names": endpoint.dns_names,
        "ipv4": endpoint.ipv4_address,
        "ipv6": endpoint.ipv6_address,
        "links": {alias or target: target for target, _, alias in links},
    }


def check_names(record: SandboxRecord) -> None:
    """Raise InvalidArgument for more names than the resolver can be told."""
    size = len(json.dumps(described(record)))
    if size > wire.MAX_CONTAINER:
        raise InvalidArgument(
            f"container {record.container_name}: its network aliases take {size} bytes, of"
            f" {wire.MAX_CONTAINER} at most"
        )


class Nameserver:
    """running: the sandboxes that there are."""

    def __init__(
        self,
        kernel: Kernel,
        socket: Path,
        host_resolv_conf: Path,
        running: Callable[[], Iterable[Sandbox]],
    ) -> None:
        self._kernel = kernel
        self._running = running
        self._client = ResolverClient(socket, host_resolv_conf, self._lost)
        self._recovery = Recovery(self._serve_again)

    async def open(self) -> None:
        """Find the process that an earlier daemon has left."""
        await self._client.find()

    async def close(self) -> None:
        """The process goes on where it serves a container."""
        await self._recovery.close()
        await self._client.close()

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none."""
        return self._client.pid

    def prepare(self) -> None:
        """Have the process, which takes a moment to come up, started ahead of its use."""
        if self._client.is_connected or self._recovery.is_under_way:
            return
        self._client.start()
        self._recovery.started()

    async def serve(self, sandbox: Sandbox, *, again: bool = False) -> None:
        """Answer a container's questions, and others' about it.

        Raises Internal, InvalidArgument, Unavailable where the process has no descriptors left.

        again: it ran before this process, so an earlier resolver has, or had, its sockets.
        """
        record = sandbox.record
        if not record.has_resolver:
            return
        check_names(record)
        if sandbox.is_served or (again and record.container_id in self._client.serves):
            sandbox.is_served = True
            self.update(sandbox)
            return
        if not again:
            self._check_room(record)
        self.prepare()
        await self._hand_over(sandbox, again=again)

    def update(self, *sandboxes: Sandbox) -> None:
        """Their names have changed: all of them from one moment on."""
        changed = [described(sandbox.record) for sandbox in sandboxes if sandbox.is_served]
        if changed:
            self._client.update(changed)

    def forget(self, sandbox: Sandbox) -> None:
        sandbox.is_served = False
        self._client.forget([sandbox.record.container_id])

    def settle(self) -> None:
        """Every running container has been adopted: the process serves these alone."""
        known = {sandbox.record.container_id for sandbox in self._running()}
        self._client.forget(self._client.serves - known)
        self._client.end_outdated()

    def _check_room(self, record: SandboxRecord) -> None:
        if wire.FDS * (len(self._client.serves) + 1) + _SPARE_FDS > descriptors.limit():
            raise Unavailable(
                f"names: container {record.container_name}: more containers than the resolver can"
                f" serve: the limit of open files is {descriptors.limit()}",
                hint="raise the engine's hard limit (ulimit -Hn, or LimitNOFILE= of systemd)",
            )

    async def _hand_over(self, sandbox: Sandbox, *, again: bool) -> None:
        sockets = await self._kernel.call(
            kernel_endpoint.open_dns_sockets, sandbox.pid, again=again
        )
        descriptors = _descriptors(sockets, sandbox.pid)
        self._client.serve(described(sandbox.record), descriptors)
        sandbox.is_served = True

    # --- after the process has gone ----------------------------------------------------------

    def _lost(self) -> None:
        if any(sandbox.is_served for sandbox in self._running()):
            self._recovery.begin()

    async def _serve_again(self) -> bool:
        try:
            self._client.start()
        except Internal as error:
            _log.error("%s", error)
            return False
        for sandbox in [sandbox for sandbox in self._running() if sandbox.is_served]:
            try:
                await self._hand_over(sandbox, again=True)
            except StackrError as error:  # it has ended this moment
                _log.info("container %s: %s", sandbox.record.container_id[:12], error)
        return self._client.is_connected


def _descriptors(sockets: DnsSockets, pid: int) -> tuple[int, int, int]:
    """The sockets', and one of the container's first process; all of them the caller's now."""
    try:
        process = os.pidfd_open(pid)
    except OSError as error:
        sockets.close()
        raise Internal(f"resolver: the container has ended: {error}") from error
    return sockets.udp.detach(), sockets.tcp.detach(), process
