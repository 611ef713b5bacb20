"""Registries that speak TLS: whom we trust, what we show, and those that need no trust."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import loopback_registry
import pytest

from stackr.errors import InvalidArgument, Unavailable
from stackr.registry import trust
from stackr.registry.client import Registry
from stackr.registry.digest import digest_of
from stackr.registry.reference import parse_reference
from stackr.registry.transport import Transport
from stackr.registry.upload import LocalBlob, Sent, send_blob

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, `ca.crt`, and its key, `ca.key`."""
    folder = tmp_path_factory.mktemp("pair")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def secured(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tls = f"certificate: {pair}/ca.crt, key: {pair}/ca.key, clientcas: [{pair}/ca.crt]"
    with loopback_registry.serve(tmp_path_factory.mktemp("secured"), tls=tls) as address:
        yield address


@pytest.fixture
def folder(secured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the certificates for the registry are looked for."""
    monkeypatch.setattr(trust, "_FOLDER", tmp_path)
    (tmp_path / secured).mkdir()
    return tmp_path / secured


async def push(address: str, tmp_path: Path, *, insecure: bool = False) -> Sent:
    data = tmp_path.name.encode()
    (tmp_path / "blob").write_bytes(data)
    blob = LocalBlob(digest_of(data), len(data), tmp_path / "blob")
    async with Transport(address, None, plain_http=insecure) as transport:
        registry = Registry(transport, parse_reference(f"{address}/app:1"), writes=True)
        return (await send_blob(registry, blob))[0]


async def test_the_own_authority_vouches_and_we_are_known(
    secured: str, folder: Path, pair: Path, tmp_path: Path
) -> None:
    (folder / "ca.crt").write_bytes((pair / "ca.crt").read_bytes())
    with pytest.raises(Unavailable, match=r"certificate required|cannot be reached|broke off"):
        await push(secured, tmp_path)
    (folder / "client.cert").write_bytes((pair / "ca.crt").read_bytes())
    (folder / "client.key").write_bytes((pair / "ca.key").read_bytes())
    assert await push(secured, tmp_path) is Sent.PUSHED


async def test_nobody_vouches(secured: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"its certificate is not trusted: .*self-signed"):
        await push(secured, tmp_path)


async def test_where_nobody_needs_to_vouch(
    secured: str, folder: Path, pair: Path, tmp_path: Path
) -> None:
    (folder / "client.cert").write_bytes((pair / "ca.crt").read_bytes())
    (folder / "client.key").write_bytes((pair / "ca.key").read_bytes())
    assert await push(secured, tmp_path, insecure=True) is Sent.PUSHED


@pytest.mark.parametrize("name", ["ca.crt", "client.cert"])
async def test_what_is_no_certificate(
    secured: str, folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / name).write_text("no certificate")
    with pytest.raises(InvalidArgument, match="its certificates cannot be read"):
        await push(secured, tmp_path)
