"""TLS streams: each direction ends on its own, a cut is no end, and errors say what is wrong."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from pathlib import Path

import pytest
from tls_certificates import make_certificates

from stackr.runtime.tls_stream import TlsError, TlsProtocol


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(folder: Path, *, known: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if known:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _same(protocol: TlsProtocol) -> TlsProtocol:
    return protocol


class Pair:
    """The two sides of one connection, from before they know each other."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        self.server = TlsProtocol(server, answer_to_http=b"no HTTP here")
        self.client = TlsProtocol(client, server_hostname="127.0.0.1")
        self._transports: list[asyncio.Transport] = []

    async def __aenter__(self) -> Pair:
        loop = asyncio.get_running_loop()
        for end, protocol in zip(socket.socketpair(), (self.server, self.client), strict=True):
            transport, _ = await loop.create_connection(partial(_same, protocol), sock=end)
            self._transports.append(transport)
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)

    async def writers(self) -> tuple[asyncio.StreamWriter, asyncio.StreamWriter]:
        return await self.server.writer(), await self.client.writer()


async def test_each_direction_ends_on_its_own(folder: Path) -> None:
    async with asyncio.timeout(30), Pair(server_context(folder), client_context(folder)) as both:
        server, client = await both.writers()
        client.write(b"x" * 3_000_000)
        client.write_eof()
        assert len(await both.server.reader.read()) == 3_000_000
        server.write(b"y" * 3_000_000)
        server.write_eof()
        assert len(await both.client.reader.read()) == 3_000_000
        with pytest.raises(ConnectionError):
            client.write(b"more")


async def test_a_slow_reader_holds_the_writer_up(folder: Path) -> None:
    async with asyncio.timeout(30), Pair(server_context(folder), client_context(folder)) as both:
        server, client = await both.writers()

        async def send() -> None:
            for _ in range(40):
                client.write(b"x" * 1_000_000)
                await client.drain()
            client.write_eof()

        sending = asyncio.ensure_future(send())
        for _ in range(200):
            await asyncio.sleep(0)
        assert not sending.done()
        total = 0
        while data := await both.server.reader.read(1 << 20):
            total += len(data)
        assert total == 40_000_000
        await sending
        server.close()


async def test_a_cut_is_no_end(folder: Path) -> None:
    async with asyncio.timeout(30), Pair(server_context(folder), client_context(folder)) as both:
        server, client = await both.writers()
        client.write(b"half of ")
        await client.drain()
        client.get_extra_info("socket").shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionError, match="without TLS's end"):
            await both.server.reader.readexactly(9)
        server.close()


async def test_a_client_without_a_certificate_learns_why(folder: Path) -> None:
    nobody = client_context(folder, known=False)
    async with asyncio.timeout(30), Pair(server_context(folder), nobody) as both:
        with pytest.raises(TlsError, match="peer did not return a certificate"):
            await both.server.writer()
        client = await both.client.writer()
        with pytest.raises(TlsError, match="alert certificate required"):
            await both.client.reader.read()
        client.close()


async def test_who_is_not_trusted_is_told(folder: Path, tmp_path: Path) -> None:
    stranger = client_context(make_certificates(tmp_path / "others"))
    async with asyncio.timeout(30), Pair(server_context(folder), stranger) as both:
        with pytest.raises(TlsError, match=r"unable to get local issuer|self-signed"):
            await both.client.writer()
        with pytest.raises(TlsError, match="unknown ca"):
            await both.server.writer()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"GET / HTTP/1.1\r\n", b"no HTTP here"), (bytes(100), b"")],
    ids=["http", "zeros"],
)
async def test_what_is_no_tls_is_answered(folder: Path, sent: bytes, answer: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        server = TlsProtocol(server_context(folder), answer_to_http=b"no HTTP here")
        await asyncio.get_running_loop().create_connection(lambda: server, sock=theirs)
        ours.send(sent)
        async with asyncio.timeout(30):
            with pytest.raises(TlsError):
                await server.writer()
            heard = await asyncio.get_running_loop().sock_recv(ours, 100)
        assert heard.startswith(answer)
