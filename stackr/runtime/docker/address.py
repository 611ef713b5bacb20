"""Where an engine listens, and how to open a byte stream to it.

`unix:///run/x.sock`, `tcp://host:port` (TLS where `DOCKER_TLS_VERIFY` asks for it) and
`ssh://[user@]host[:port]`, which runs `docker system dial-stdio` there, as the docker CLI does.
Source: docker CLI reference, "Environment variables" and "Specifying a daemon".
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stackr.errors import InvalidArgument, PermissionDenied, StackrError, Unavailable

__all__ = ["EngineAddress", "Stream"]

_LIMIT_BYTES = 1 << 18


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
                self.process.terminate()
            await self.process.wait()


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """One engine's address. certificates: a folder with ca.pem, cert.pem and key.pem, for TLS."""

    url: str
    certificates: Path | None = None

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
            return cls(url, _certificates(environ))
        raise InvalidArgument(
            f'engine "{url}": not an address',
            hint="write unix:///path/to.sock, tcp://HOST:PORT or ssh://[USER@]HOST",
        )

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
        return Stream(
            *await asyncio.open_connection(
                parts.hostname, parts.port, ssl=self._tls(), limit=_LIMIT_BYTES
            )
        )

    def _explained(self, error: OSError) -> StackrError:
        if isinstance(error, PermissionError):
            return PermissionDenied(
                f'engine "{self.url}": permission denied', hint="run stackr as root"
            )
        if isinstance(error, ssl.SSLError):
            return Unavailable(f'engine "{self.url}": TLS: {error.reason or error}')
        if error.errno == errno.EMFILE:
            most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return Unavailable(
                f'engine "{self.url}": too many open files: the limit of this command is {most}',
                hint="raise the hard limit (ulimit -Hn), or name fewer services",
            )
        return Unavailable(
            f'engine "{self.url}": cannot connect: {error.strerror or error}',
            hint="is the engine running, and is the address right?",
        )

    def _tls(self) -> ssl.SSLContext | None:
        if self.certificates is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
            if (self.certificates / "cert.pem").exists():
                context.load_cert_chain(
                    self.certificates / "cert.pem", self.certificates / "key.pem"
                )
        except OSError as error:
            raise InvalidArgument(
                f'engine "{self.url}": certificates in "{self.certificates}": {error}',
                hint="DOCKER_CERT_PATH names a folder with ca.pem, cert.pem and key.pem",
            ) from error
        return context


def _raise_soft_limit() -> None:
    """To the hard limit: a connection for each container that is followed may be many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _certificates(environ: Mapping[str, str]) -> Path | None:
    """Any value of `DOCKER_TLS_VERIFY` but the empty one asks for TLS, as in the docker CLI."""
    if not environ.get("DOCKER_TLS_VERIFY"):
        return None
    return Path(environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")


async def _dial_ssh(url: str) -> Stream:
    """A stream through the ssh client, whose own configuration and agent apply."""
    parts = urlsplit(url)
    argv = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    if parts.username:
        argv += ["-l", parts.username]
    if parts.port:
        argv += ["-p", str(parts.port)]
    socket = ["--host", f"unix://{parts.path}"] if parts.path not in ("", "/") else []
    process = await asyncio.create_subprocess_exec(
        *argv,
        "--",
        parts.hostname or "",
        "docker",
        *socket,
        "system",
        "dial-stdio",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LIMIT_BYTES,
        env=os.environ,
        start_new_session=True,  # Ctrl-C is for stackr, which then ends the call in order
    )
    if process.stdin is None or process.stdout is None:
        raise Unavailable(f'engine "{url}": ssh gave no streams')
    return Stream(process.stdout, process.stdin, process)
