"""The distribution-spec client: manifests, and blobs that arrive piece by piece.

Media types of Docker (schema 2) and of OCI; schema 1 is refused. What comes from a registry is
checked against its digest and bounded in size before anything looks at it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from stackr.errors import InvalidArgument, NotFound, NotSupported, PermissionDenied, Unauthorized
from stackr.runtime.engine.image.content import DigestMismatch, digest_of
from stackr.runtime.engine.image.reference import Reference, is_digest
from stackr.runtime.engine.image.transport import Transport, error_of, not_found, read_limited
from stackr.text import parse_json, visible

__all__ = ["BlobStream", "Manifest", "Registry"]

_MANIFEST_LIMIT: Final = 4 << 20  # distribution-spec: "at least 4 megabytes"
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT: Final = ", ".join(MANIFEST_TYPES + INDEX_TYPES)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index: its bytes, verified, and what they say."""

    digest: str
    media_type: str
    raw: bytes
    body: dict[str, Any]

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


@dataclass(frozen=True, slots=True)
class BlobStream:
    """A blob from byte `offset` on: 0 where the registry does not serve ranges."""

    offset: int
    chunks: AsyncIterator[bytes]


def parse_manifest(raw: bytes, media_type: str, digest: str) -> Manifest:
    """Raises InvalidArgument for what is no JSON object, NotSupported for an unknown type."""
    try:
        body = parse_json(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InvalidArgument(f"manifest {digest}: is not a JSON object")
    declared = body.get("mediaType")
    kind = declared if isinstance(declared, str) else media_type.partition(";")[0].strip()
    if kind not in MANIFEST_TYPES + INDEX_TYPES:
        kind = _guess_type(body)
    if not kind:
        shown = visible(str(declared or media_type)[:200])
        raise NotSupported(f'manifest {digest}: media type "{shown}"')
    return Manifest(digest, kind, raw, body)


def _guess_type(body: dict[str, Any]) -> str:
    """OCI leaves `mediaType` optional, and some registries serve text/plain."""
    if body.get("schemaVersion") != 2 or "mediaType" in body:
        return ""
    if "manifests" in body:
        return INDEX_TYPES[0]
    return MANIFEST_TYPES[0] if "layers" in body else ""


class Registry:
    """Pulls of one repository."""

    def __init__(self, transport: Transport, reference: Reference) -> None:
        self._transport = transport
        self._reference = reference
        self._root = f"/v2/{reference.path}"
        self._scope = f"repository:{reference.path}:pull"

    async def head_manifest(self, reference: Reference) -> str | None:
        """The digest of the manifest; None where the registry does not tell it."""
        async with self._get("HEAD", reference) as response:
            digest = response.headers.get("Docker-Content-Digest", "")
            return digest if is_digest(digest) else None

    async def manifest(self, reference: Reference) -> Manifest:
        """The manifest or index of a tag or a digest, verified.

        Raises NotFound and Unauthorized with Docker's texts, DigestMismatch, InvalidArgument.
        """
        async with self._get("GET", reference) as response:
            raw = await read_limited(response, _MANIFEST_LIMIT, f"manifest of {reference.familiar}")
            media_type = response.headers.get("Content-Type", "")
            promised = response.headers.get("Docker-Content-Digest", "")
        digest = digest_of(raw)
        expected = reference.digest or (promised if is_digest(promised) else digest)
        if digest != expected:
            raise DigestMismatch(
                f"manifest for {reference.familiar}: digest mismatch: want {expected}, got {digest}"
            )
        return parse_manifest(raw, media_type, digest)

    @asynccontextmanager
    async def _get(
        self, method: str, reference: Reference
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        path = f"{self._root}/manifests/{reference.digest or reference.tag}"
        name = reference.familiar_name
        try:
            async with self._transport.request(
                method, path, scope=self._scope, headers={"Accept": _ACCEPT}, patient=True
            ) as response:
                if response.status == 404:
                    code, text = await error_of(response)
                    raise not_found(code, text, name=name, reference=reference.familiar)
                yield response
        except (Unauthorized, PermissionDenied) as error:
            raise type(error)(
                f"pull access denied for {name}, repository does not exist or may require"
                f" 'docker login': {error.message}"
            ) from error

    @asynccontextmanager
    async def blob(self, digest: str, *, offset: int = 0) -> AsyncIterator[BlobStream]:
        """The bytes of a blob, from `offset` on where the registry can.

        Raises NotFound, and Unavailable where the connection breaks off: worth another try from
        the byte reached.
        """
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        path = f"{self._root}/blobs/{digest}"
        async with self._transport.request(
            "GET", path, scope=self._scope, headers=headers
        ) as response:
            if response.status == 404:
                raise NotFound(f"blob {digest}: not found in {self._reference.familiar_name}")
            start = _range_start(response) if response.status == 206 else 0
            if start not in (0, offset):
                raise InvalidArgument(f"blob {digest}: the registry sends another range than asked")
            yield BlobStream(start, response.content.iter_any())

    async def small_blob(self, digest: str, *, limit: int) -> bytes:
        """A whole blob of at most `limit` bytes, verified, in memory."""
        data = bytearray()
        async with self.blob(digest) as stream:
            async for chunk in stream.chunks:
                data += chunk
                if len(data) > limit:
                    raise InvalidArgument(f"blob {digest}: larger than {limit} bytes")
        got = digest_of(bytes(data))
        if got != digest:
            raise DigestMismatch(f"blob {digest}: digest mismatch: got {got}")
        return bytes(data)


def _range_start(response: aiohttp.ClientResponse) -> int:
    unit, _, span = response.headers.get("Content-Range", "").partition(" ")
    start = span.partition("-")[0]
    return int(start) if unit == "bytes" and start.isascii() and start.isdigit() else -1
