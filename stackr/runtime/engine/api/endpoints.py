"""Sockets that the API listens at: made here, or inherited from systemd, with TLS or without.

Source: sd_listen_fds(3); dockerd, "Protect the Docker daemon socket".
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from stackr.errors import InvalidArgument, Unavailable
from stackr.runtime.engine.hosts import FdHost, Host, TcpHost, UnixHost
from stackr.runtime.tls_stream import reason_of

__all__ = ["Endpoint", "TlsFiles", "inherited_sockets", "listen", "listen_unix", "server_context"]

_BACKLOG = 4096  # the kernel's own limit is net.core.somaxconn, 4096 where nobody has changed it
_FIRST_FD = 3
_KEEPALIVE_S, _KEEPALIVE_PROBES = 15, 4
"""A client that vanished from the network is known within about a minute, as in Go's server."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """ca: of those whose certificates clients must show; None asks for none."""

    certificate: Path
    key: Path
    ca: Path | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listening socket. path: of a Unix socket that is removed at the end; None otherwise."""

    name: str
    listener: socket.socket
    tls: ssl.SSLContext | None = None
    path: Path | None = None
    tcp: TcpHost | None = None

    @property
    def is_local(self) -> bool:
        return self.listener.family == socket.AF_UNIX

    @property
    def is_open_to_all(self) -> bool:
        """Whether no permission and no certificate stands between a client and the API."""
        return not self.is_local and (self.tls is None or self.tls.verify_mode == ssl.CERT_NONE)

    def close(self) -> None:
        self.listener.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def listen(
    host: Host, tls: ssl.SSLContext | None, inherited: MutableMapping[str, list[socket.socket]]
) -> Iterator[Endpoint]:
    """The sockets of one host; those of `fd://` are taken out of `inherited`.

    Raises Unavailable where it cannot be listened at.
    """
    if isinstance(host, UnixHost):
        _refuse_taken(host.path)
        yield listen_unix(host.path)
    elif isinstance(host, TcpHost):
        yield from _listen_tcp(host, tls)
    else:
        yield from _taken(host, tls, inherited)


def listen_unix(path: Path, *, group: int = 0) -> Endpoint:
    """A listening socket at `path`, born beside it and renamed, so that it is never half ready.

    group: whose members may connect, beside root. One that a dead engine left is replaced.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise Unavailable(f'socket "{path}": something else is there')
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(new))
        os.chown(new, -1, group)
        os.chmod(new, 0o660)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        os.rename(new, path)
    except OSError as error:
        listener.close()
        new.unlink(missing_ok=True)
        raise Unavailable(f'socket "{path}": cannot listen: {error}') from error
    return Endpoint(f"unix://{path}", listener, path=path)


def _refuse_taken(path: Path) -> None:
    """Another program's socket is not replaced while that answers, as dockerd's might. Raises
    Unavailable.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            pass  # its queue is full
        except OSError:
            return
    raise Unavailable(f'socket "{path}": another program listens there')


def _listen_tcp(host: TcpHost, tls: ssl.SSLContext | None) -> Iterator[Endpoint]:
    """At every address that the name has."""
    try:
        kind = socket.SOCK_STREAM
        found = socket.getaddrinfo(host.address, host.port, type=kind, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Unavailable(f'host "{host}": unknown address: {error.strerror}') from error
    refused: OSError | None = None
    count = 0
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            listener = _tcp_listener(family, address)
        except OSError as error:
            refused = error
            continue
        count += 1
        name = TcpHost(host.address, listener.getsockname()[1])
        yield Endpoint(str(name), listener, tls, tcp=name)
    if refused is not None and not count:
        raise Unavailable(f'host "{host}": cannot listen: {refused.strerror}') from refused


def _tcp_listener(family: int, address: object) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _expect_answers(listener)
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _expect_answers(listener: socket.socket) -> None:
    """Accepted connections have these settings, too. Source: tcp(7)."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _KEEPALIVE_S),
        (socket.TCP_KEEPINTVL, _KEEPALIVE_S),
        (socket.TCP_KEEPCNT, _KEEPALIVE_PROBES),
        (socket.TCP_NODELAY, 1),
    ):
        listener.setsockopt(socket.IPPROTO_TCP, option, value)


def inherited_sockets(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """The listening sockets that systemd has opened for this process, by their names.

    The variables that told of them are removed: they are not for what this process starts.
    """
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    if pid != str(os.getpid()) or not count.isdecimal():
        return found
    for index in range(int(count)):
        fd = _FIRST_FD + index
        with contextlib.suppress(OSError):
            os.set_inheritable(fd, False)
            inherited = socket.socket(fileno=fd)
            inherited.setblocking(False)
            name = names[index] if index < len(names) and names[index] else "unknown"
            found.setdefault(name, []).append(inherited)
    return found


def _taken(
    host: FdHost, tls: ssl.SSLContext | None, inherited: MutableMapping[str, list[socket.socket]]
) -> Iterator[Endpoint]:
    names = [name for name in inherited if host.name in ("", name)]
    sockets = [one for name in names for one in inherited.pop(name)]
    if not sockets and host.name.isdecimal():
        sockets = _of_number(int(host.name), inherited)
    if not sockets:
        raise Unavailable(
            f'host "{host}": no such socket was handed over',
            hint="it is for systemd's socket units: stackr engine install",
        )
    for listener in sockets:
        if listener.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            raise Unavailable(f'host "{host}": neither a Unix nor a TCP socket')
        yield _of_systemd(listener, tls)


def _of_number(
    number: int, inherited: MutableMapping[str, list[socket.socket]]
) -> list[socket.socket]:
    for sockets in inherited.values():
        for one in sockets:
            if one.fileno() == number:
                sockets.remove(one)
                return [one]
    return []


def _of_systemd(listener: socket.socket, tls: ssl.SSLContext | None) -> Endpoint:
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return Endpoint(f"unix://{address}", listener)
    _expect_answers(listener)
    host = TcpHost(address[0], address[1])
    return Endpoint(str(host), listener, tls, tcp=host)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Raises InvalidArgument, which names the file, for one that is missing or no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (files.certificate, files.key, files.ca):
        if path is not None and not os.access(path, os.R_OK):
            why = "cannot be read" if path.exists() else "no such file"
            raise InvalidArgument(f'TLS: "{path}": {why}')
    try:
        context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        raise InvalidArgument(
            f'TLS: "{files.certificate}" and "{files.key}": not a certificate and its key:'
            f" {reason_of(error)}"
        ) from error
    if files.ca is not None:
        try:
            context.load_verify_locations(files.ca)
        except ssl.SSLError as error:
            raise InvalidArgument(
                f'TLS: "{files.ca}": not a certificate: {reason_of(error)}'
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
