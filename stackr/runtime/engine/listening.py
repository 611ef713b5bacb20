"""Where an engine listens, by its options: its own socket, and the hosts that it is given."""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import socket
import ssl
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.endpoints import (
    Endpoint,
    TlsFiles,
    inherited_sockets,
    listen,
    server_context,
)
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.hosts import FdHost, Host, UnixHost, check_authenticated, parse_host
from stackr.runtime.engine.options import EngineOptions
from stackr.runtime.engine.units import GROUP

__all__ = ["Listening", "open_to_group"]

_log = logging.getLogger("stackr.engine")
_ENTER = 0o710
_CONNECT = 0o660


@dataclass(frozen=True, slots=True)
class Listening:
    """own: the path of the engine's own socket, or that socket where systemd has opened it.

    group: the number of the group that may use it. metrics: where those are asked for.
    """

    own: Path | Endpoint
    further: tuple[Endpoint, ...]
    group: int
    metrics: tuple[Endpoint, ...] = ()

    @classmethod
    def open(
        cls, config: EngineConfig, environ: MutableMapping[str, str] = os.environ
    ) -> Listening:
        """Raises InvalidArgument, and Unavailable where it cannot be listened at."""
        options = config.options
        hosts = [host for host in options.listening() if host != UnixHost(config.socket)]
        group = _group(options.group)
        inherited = inherited_sockets(environ)
        if inherited and not any(isinstance(host, FdHost) for host in hosts):
            hosts.append(FdHost(""))  # it was started for them
        with contextlib.ExitStack() as made:
            endpoints = _listen(hosts, _context(options), inherited, made)
            warnings = check_authenticated(
                [each.tcp for each in endpoints if each.tcp],
                verifies=options.tlsverify,
                allowed=options.allow_unauthenticated_tcp,
            )
            metrics = _listen(_metrics(options), None, {}, made)
            made.pop_all()
        for warning in warnings:
            _log.warning("%s", warning)
        own = next((each for each in endpoints if each.name == f"unix://{config.socket}"), None)
        further = tuple(each for each in endpoints if each is not own)
        for each in further:
            _log.info("listening: %s", each.name)
            if each.path is not None:
                os.chown(each.path, -1, group)
        return cls(own or config.socket, further, group, tuple(metrics))

    def close(self) -> None:
        """Of a start that did not come to serving."""
        for endpoint in (*self.further, *self.metrics):
            endpoint.close()


def _listen(
    hosts: list[Host],
    tls: ssl.SSLContext | None,
    inherited: dict[str, list[socket.socket]],
    made: contextlib.ExitStack,
) -> list[Endpoint]:
    endpoints = []
    for host in dict.fromkeys(hosts):
        for endpoint in listen(host, tls, inherited):
            made.callback(endpoint.close)
            endpoints.append(endpoint)
    return endpoints


def _metrics(options: EngineOptions) -> list[Host]:
    return [parse_host(f"tcp://{options.metrics_addr}", tls=False)] if options.metrics_addr else []


def _context(options: EngineOptions) -> ssl.SSLContext | None:
    if not options.has_tls:
        return None
    ca = Path(options.tlscacert) if options.tlsverify else None
    return server_context(TlsFiles(Path(options.tlscert), Path(options.tlskey), ca))


def _group(name: str) -> int:
    """Of the named one, or of `stackr` where that is there; root's is 0. Raises InvalidArgument."""
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name or GROUP).gr_gid
    except KeyError:
        if name:
            raise InvalidArgument(f'group "{name}": no such group') from None
    return 0


def open_to_group(config: EngineConfig, group: int) -> None:
    """Let a group at the socket: through the folder, in which it sees and opens nothing else."""
    if group:
        os.chown(config.exec_root, -1, group)
        config.exec_root.chmod(_ENTER)
        os.chown(config.socket, -1, group)
        config.socket.chmod(_CONNECT)
