"""Where an engine listens, and how to open a byte stream to it.

`unix:///run/x.sock`, `tcp://host:port` (TLS where `DOCKER_TLS_VERIFY` or `DOCKER_TLS` asks for it)
and `ssh://[user@]host[:port]`, which runs `docker system dial-stdio` there, as the docker CLI does,
or `stackr system dial-stdio` where there is no docker.
Source: docker CLI reference, "Environment variables" and "Specifying a daemon".
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
import shlex
import signal
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stackr.errors import InvalidArgument, PermissionDenied, StackrError, Unavailable
from stackr.runtime.socket_access import access_hint
from stackr.runtime.tls_stream import TlsError, TlsProtocol, reason_of
from stackr.text import visible

__all__ = ["EngineAddress", "Stream", "TlsFolder"]

_LIMIT_BYTES = 1 << 18
_HANDSHAKE_S = 20.0
_LAST_WORDS = 1 << 16
_LAST_WORDS_S = 5.0
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


@dataclass(slots=True)
class Stream:
    """A byte stream in both directions; `process` is the ssh client that carries it, if any."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    process: asyncio.subprocess.Process | None = None

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):  # the other side may be gone already
            await self.writer.wait_closed()
        if self.process is not None:
            if self.process.returncode is None:
                # not `terminate`: it would ask for the exit code, which asyncio waits for, too
                with suppress(ProcessLookupError):
                    os.kill(self.process.pid, signal.SIGTERM)
            await self.process.wait()

    async def last_words(self) -> str:
        """What the ssh client says of why there is no stream; "" for nothing."""
        if self.process is None or self.process.stderr is None:
            return ""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                said = (await self.process.stderr.read(_LAST_WORDS)).decode(errors="replace")
                lines = [line for line in said.splitlines() if line.strip() and line[0] != " "]
                last = lines[-1].strip() if lines else ""  # what is indented is stackr's hint
                last = last.removeprefix("ssh: ").removeprefix("stackr: ")
                return visible(last, one_line=True)
        return ""


@dataclass(frozen=True, slots=True)
class TlsFolder:
    """ca.pem, cert.pem and key.pem. verify: whether the engine has to show whose it is."""

    path: Path
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises OSError for what is no certificate."""
        ca = self.path / "ca.pem"
        if not self.verify:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif ca.exists() or not self.path.is_dir():
            context = ssl.create_default_context(cafile=ca)
        else:  # signed by somebody whom this host trusts
            context = ssl.create_default_context()
        if (self.path / "cert.pem").exists():
            context.load_cert_chain(self.path / "cert.pem", self.path / "key.pem", password="")
        return context


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """One engine's address. tls: None where the stream is as it is."""

    url: str
    tls: TlsFolder | None = None

    @classmethod
    def parse(cls, url: str, environ: Mapping[str, str]) -> EngineAddress:
        """Raises InvalidArgument for a scheme or an address that is none."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise InvalidArgument(f'engine "{url}": {error}') from error
        if parts.scheme == "unix" and parts.path:
            return cls(url)
        if parts.scheme == "ssh" and parts.hostname and not parts.hostname.startswith("-"):
            return cls(url)
        if parts.scheme == "tcp" and parts.hostname and port:
            return cls(url, _tls(environ))
        raise InvalidArgument(
            f'engine "{url}": not an address',
            hint="write unix:///path/to.sock, tcp://HOST:PORT or ssh://[USER@]HOST",
        )

    @property
    def host(self) -> str:
        """The machine that it is on, as the address names it; "" for a socket of this one."""
        return urlsplit(self.url).hostname or ""

    async def connect(self) -> Stream:
        """Raises Unavailable, and PermissionDenied for a socket that this user may not open.

        Where this process may have no more files open, it takes what the hard limit allows.
        """
        try:
            return await self._connected()
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise self._explained(error) from error
        try:
            _raise_soft_limit()
            return await self._connected()
        except OSError as error:
            raise self._explained(error) from error

    async def _connected(self) -> Stream:
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return Stream(*await asyncio.open_unix_connection(parts.path, limit=_LIMIT_BYTES))
        if parts.scheme == "ssh":
            return await _dial_ssh(self.url)
        if self.tls is not None:
            return await self._secured(parts.hostname or "", parts.port or 0)
        streams = await asyncio.open_connection(parts.hostname, parts.port, limit=_LIMIT_BYTES)
        _ask_if_alive(streams[1])
        return Stream(*streams)

    async def _secured(self, host: str, port: int) -> Stream:
        context = self._context()
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: TlsProtocol(context, server_hostname=host, limit=_LIMIT_BYTES), host, port
        )
        async with asyncio.timeout(_HANDSHAKE_S):
            writer = await protocol.writer()
        _ask_if_alive(writer)
        return Stream(protocol.reader, writer)

    def _explained(self, error: OSError) -> StackrError:
        if isinstance(error, PermissionError):
            hint = access_hint(urlsplit(self.url).path)
            return PermissionDenied(f'engine "{self.url}": permission denied', hint=hint)
        if isinstance(error, TlsError):
            return self.no_tls(error)
        if isinstance(error, TimeoutError) and not error.errno:
            return Unavailable(f'engine "{self.url}": TLS: it does not answer')
        if error.errno == errno.EMFILE:
            most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return Unavailable(
                f'engine "{self.url}": too many open files: the limit of this command is {most}',
                hint="raise the hard limit (ulimit -Hn), or name fewer services",
            )
        return Unavailable(
            f'engine "{self.url}": cannot connect: {_reason(error)}',
            hint=f"is the engine running{' on ' + self.host if self.host else ''}, "
            "and is the address right?",
        )

    def no_tls(self, error: TlsError) -> Unavailable:
        """The certificate is not as it should be, ours or the engine's; or there is no TLS."""
        reason, hint = str(error), None
        if "wrong version number" in reason or "unexpected message" in reason:
            reason, hint = "it does not speak TLS", "unset DOCKER_TLS_VERIFY, if it is to be so"
        elif "certificate required" in reason or "alert handshake failure" in reason:
            hint = "it asks for a certificate: cert.pem and key.pem in DOCKER_CERT_PATH"
        elif "alert" in reason:
            hint = "it does not take our certificate: cert.pem in DOCKER_CERT_PATH"
        elif "mismatch" in reason or "not valid for" in reason:
            hint = "its certificate is of another name or address than this one"
        else:
            hint = "its certificate is not signed by ca.pem in DOCKER_CERT_PATH"
        return Unavailable(f'engine "{self.url}": TLS: {reason}', hint=hint)

    def _context(self) -> ssl.SSLContext:
        assert self.tls is not None
        try:
            return self.tls.context()
        except OSError as error:
            why = reason_of(error) if isinstance(error, ssl.SSLError) else error.strerror
            raise InvalidArgument(
                f'engine "{self.url}": certificates in "{self.tls.path}": {why}',
                hint="DOCKER_CERT_PATH names a folder with ca.pem, cert.pem and key.pem",
            ) from error


def _ask_if_alive(writer: asyncio.StreamWriter) -> None:
    """So that an engine that vanished from the network ends what waits for it. Source: tcp(7)."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _reason(error: OSError) -> str:
    """In the kernel's words; asyncio adds the address, or puts several errors into one text."""
    several = re.search(r"\[Errno (\d+)\]", str(error))
    number = error.errno or (int(several[1]) if several else 0)
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def _raise_soft_limit() -> None:
    """To the hard limit: a connection for each container that is followed may be many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _tls(environ: Mapping[str, str]) -> TlsFolder | None:
    """Any value of `DOCKER_TLS_VERIFY` but the empty one asks for TLS, as in the docker CLI; and
    `DOCKER_TLS` for TLS with whoever answers.
    """
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not (verify or environ.get("DOCKER_TLS")):
        return None
    folder = environ.get("DOCKER_CERT_PATH") or environ.get("DOCKER_CONFIG")
    return TlsFolder(Path(folder or Path.home() / ".docker"), verify=verify)


def _on_the_host(path: str) -> str:
    """The command there, in the words of any login shell. path: of the engine's socket."""
    socket = shlex.quote(f"unix://{path}") if path not in ("", "/") else ""
    docker = f"docker --host {socket}" if socket else "docker"
    stackr = f"stackr --engine {socket}" if socket else "stackr"
    return "sh -c " + shlex.quote(
        f"if command -v docker >/dev/null; then exec {docker} system dial-stdio;"
        f" else exec {stackr} system dial-stdio; fi"
    )


async def _dial_ssh(url: str) -> Stream:
    """A stream through the ssh client, whose own configuration and agent apply."""
    parts = urlsplit(url)
    argv = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    if parts.username:
        argv += ["-l", parts.username]
    if parts.port:
        argv += ["-p", str(parts.port)]
    process = await asyncio.create_subprocess_exec(
        *argv,
        "--",
        parts.hostname or "",
        _on_the_host(parts.path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LIMIT_BYTES,
        env=os.environ,
        start_new_session=True,  # Ctrl-C is for stackr, which then ends the call in order
    )
    if process.stdin is None or process.stdout is None:
        raise Unavailable(f'engine "{url}": ssh gave no streams')
    return Stream(process.stdout, process.stdin, process)
