"""TLS over a byte stream whose directions end one after the other, as those of TCP do.

asyncio's own TLS ends both directions once the other side has ended its one: the output of
`docker run -i`, whose input has ended, would be lost. Here a `close_notify` ends one direction, and
a stream that ends without one is cut off. Source: RFC 8446, 6.1; SSL_shutdown(3ssl).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

__all__ = ["TlsError", "TlsProtocol", "reason_of"]

_READ_BYTES = 1 << 18


class TlsError(ConnectionError):
    """The other side, or what it sent, is not as TLS or the certificates want it; one line."""


def reason_of(error: ssl.SSLError) -> str:
    """What OpenSSL found, in words: `self-signed certificate`, `tlsv13 alert ...`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message).rstrip(".")
    return (error.reason or str(error)).replace("_", " ").lower()


class _TlsTransport(asyncio.Transport):
    """What a `StreamWriter` writes to: encrypts, and passes on to the transport below."""

    def __init__(self, below: asyncio.Transport, protocol: TlsProtocol) -> None:
        super().__init__()
        self._below = below
        self._protocol = protocol

    def write(self, data: Any) -> None:
        self._protocol.encrypt(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._protocol.say_goodbye()

    def close(self) -> None:
        self._protocol.say_goodbye()
        self._below.close()

    def abort(self) -> None:
        self._below.abort()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)


class TlsProtocol(asyncio.StreamReaderProtocol):
    """One side of a connection; hand it to `create_connection` or `connect_accepted_socket`."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        limit: int = _READ_BYTES,
        answer_to_http: bytes = b"",
    ) -> None:
        """server_hostname: whom a client wants to reach; None on a server's side.

        answer_to_http: what a server says to somebody who speaks HTTP without TLS.
        """
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(limit=limit, loop=loop)
        super().__init__(self.reader, loop=loop)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        is_server = server_hostname is None
        self._tls = context.wrap_bio(self._in, self._out, is_server, server_hostname)
        self._below: asyncio.Transport | None = None
        self._answer_to_http = answer_to_http
        self._shaken = loop.create_future()
        self._has_said_goodbye = False
        self._reader_ended = False

    async def writer(self) -> asyncio.StreamWriter:
        """Once both sides know each other. Raises TlsError, ConnectionError."""
        assert self._below is not None
        try:
            await self._shaken
        except BaseException:
            self._below.close()
            raise
        above = _TlsTransport(self._below, self)
        loop = asyncio.get_running_loop()
        return asyncio.StreamWriter(above, self, self.reader, loop)

    # --- from below ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._below = transport
        self._step()

    def data_received(self, data: bytes) -> None:
        self._in.write(data)
        self._step()

    def eof_received(self) -> bool:
        """The stream below is kept open: what was asked for may still be answered."""
        if not self.reader.at_eof() and not self._reader_ended:
            self._cut_off(ConnectionResetError("the connection ended without TLS's end"))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._shaken.done():
            self._cut_off(exc or ConnectionResetError("the connection ended"))
        super().connection_lost(exc)

    # --- from above ------------------------------------------------------------------------------

    def encrypt(self, data: Any) -> None:
        if self._has_said_goodbye:
            raise ConnectionResetError("this side of the connection is closed")
        try:
            if data:
                self._tls.write(data)
        except ssl.SSLError as error:
            raise TlsError(reason_of(error)) from error
        self._flush()

    def say_goodbye(self) -> None:
        """End our direction, once; before the handshake is over there is none."""
        if self._has_said_goodbye or not self._is_shaken:
            return
        self._has_said_goodbye = True
        with contextlib.suppress(ssl.SSLError):  # it wants the other side's goodbye, too
            self._tls.unwrap()
        self._flush()

    # --- within ----------------------------------------------------------------------------------

    @property
    def _is_shaken(self) -> bool:
        done = self._shaken.done() and not self._shaken.cancelled()
        return done and self._shaken.exception() is None

    def _step(self) -> None:
        try:
            if not self._shaken.done():
                self._tls.do_handshake()
                self._shaken.set_result(None)
            if self._is_shaken:
                self._decrypt()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST" and self._answer_to_http:
                self._out.read()
                self._out.write(self._answer_to_http)
            self._flush()  # that, or the alert, which tells the other side
            self._cut_off(TlsError(reason_of(error)))
        self._flush()

    def _decrypt(self) -> None:
        while not self._reader_ended:
            try:
                data = self._tls.read(_READ_BYTES)
            except ssl.SSLZeroReturnError:
                data = b""
            if data:
                self.reader.feed_data(data)
            else:
                self._reader_ended = True
                self.reader.feed_eof()

    def _cut_off(self, error: Exception) -> None:
        self._reader_ended = True
        if self._shaken.done():
            self.reader.set_exception(error)
        else:
            self._shaken.set_exception(error)

    def _flush(self) -> None:
        if self._out.pending and self._below is not None and not self._below.is_closing():
            self._below.write(self._out.read())
