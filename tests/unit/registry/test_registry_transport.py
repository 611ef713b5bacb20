"""Which registries are spoken to without TLS."""

from __future__ import annotations

import asyncio

import pytest

from stackr.errors import Unavailable
from stackr.registry.transport import Transport, is_plain_http


@pytest.mark.parametrize(
    ("domain", "insecure", "plain"),
    [
        ("localhost", (), True),
        ("localhost:5000", (), True),
        ("127.0.0.1:5000", (), True),
        ("127.9.9.9", (), True),
        ("[::1]:5000", (), True),
        ("docker.io", (), False),
        ("localhost.example.com", (), False),
        ("127.0.0.1.example.com:5000", (), False),
        ("10.1.2.3:5000", (), False),
        ("10.1.2.3:5000", ("10.0.0.0/8",), True),
        ("10.1.2.3:5000", ("10.1.2.3",), True),
        ("registry.lan:5000", ("registry.lan:5000",), True),
        ("registry.lan:5001", ("registry.lan:5000",), False),
        ("registry.lan:5001", ("registry.lan",), True),
    ],
)
def test_plain_http(domain: str, insecure: tuple[str, ...], plain: bool) -> None:
    assert is_plain_http(domain, insecure) is plain


async def test_a_registry_without_tls_is_said_to_have_none() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    try:
        async with Transport(f"{host}:{port}", None, plain_http=False) as transport:
            with pytest.raises(Unavailable, match=r"server gave HTTP response to HTTPS client$"):
                async with transport.request("GET", "/v2/", scope=""):
                    pass
    finally:
        server.close()
