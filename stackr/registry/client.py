"""The distribution-spec client: manifests, both ways, and blobs that arrive piece by piece.

Media types of Docker (schema 2) and of OCI; schema 1 is refused. What comes from a registry is
checked against its digest and bounded in size before anything looks at it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
from yarl import URL

from stackr.errors import InvalidArgument, NotFound, PermissionDenied, Unauthorized
from stackr.registry.answers import error_of, not_found, read_limited
from stackr.registry.digest import DigestMismatch, digest_of, is_digest
from stackr.registry.manifest import INDEX_TYPES, MANIFEST_TYPES, Manifest, parse_manifest
from stackr.registry.reference import Reference
from stackr.registry.transport import Transport
from stackr.text import parse_json, visible

__all__ = ["BlobStream", "Registry"]

_MANIFEST_LIMIT: Final = 4 << 20  # distribution-spec: "at least 4 megabytes"
_STORED: Final = (200, 201, 202, 204)
_MOST_PAGES: Final = 1000
_MOST_TAGS: Final = 1_000_000
_ACCEPT: Final = ", ".join(MANIFEST_TYPES + INDEX_TYPES)


@dataclass(frozen=True, slots=True)
class BlobStream:
    """A blob from byte `offset` on: 0 where the registry does not serve ranges."""

    offset: int
    chunks: AsyncIterator[bytes]


class Registry:
    """One repository; what is only read asks for no right to write. See `upload.py` for blobs."""

    def __init__(self, transport: Transport, reference: Reference, *, writes: bool = False) -> None:
        self._transport = transport
        self._reference = reference
        self._root = f"/v2/{reference.path}"
        self._scope = f"repository:{reference.path}:{'pull,push' if writes else 'pull'}"

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

    async def tags(self) -> list[str]:
        """Every tag of the repository, as the registry lists them.

        Raises NotFound and Unauthorized with Docker's texts, InvalidArgument for another answer.
        """
        tags: list[str] = []
        url: str | URL = f"{self._root}/tags/list"
        name = self._reference.familiar_name
        for _ in range(_MOST_PAGES):
            async with self._transport.request(
                "GET", url, scope=self._scope, patient=True
            ) as response:
                if response.status == 404:
                    code, text = await error_of(response)
                    raise not_found(code, text, name=name, reference=name)
                raw = await read_limited(response, _MANIFEST_LIMIT, f"tags of {name}")
                link = response.links.get("next")
            tags += _tags(raw, name)
            if len(tags) > _MOST_TAGS:
                raise InvalidArgument(f"tags of {name}: more than {_MOST_TAGS}")
            if link is None or "url" not in link:
                return tags
            url = self._transport.joined(self._transport.base, str(link["url"]))
        raise InvalidArgument(f"tags of {name}: more than {_MOST_PAGES} pages")

    @property
    def root(self) -> str:
        """The repository's path in its registry."""
        return self._root

    @property
    def transport(self) -> Transport:
        return self._transport

    @property
    def scope(self) -> str:
        """What requests of this repository need to be allowed."""
        return self._scope

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

    async def put_manifest(self, raw: bytes, media_type: str, tag: str) -> str:
        """Store a manifest under a tag, once all of its blobs are there; returns its digest.

        Raises DigestMismatch where the registry keeps something else than it was sent.
        """
        path, digest = f"{self._root}/manifests/{tag}", digest_of(raw)
        headers = {"Content-Type": media_type}
        async with self._transport.request(
            "PUT", path, scope=self._scope, headers=headers, body=raw, patient=True
        ) as response:
            if response.status not in _STORED:
                raise await self._transport.unexpected(response)
            told = response.headers.get("Docker-Content-Digest")
        kept = told or await self.head_manifest(replace(self._reference, tag=tag, digest=None))
        if kept != digest:
            shown = visible(str(kept)[:100])
            raise DigestMismatch(
                f"manifest for {self._reference.familiar_name}:{tag}: digest mismatch: sent"
                f" {digest}, the registry has {shown}"
            )
        return digest

    async def blob_size(self, digest: str) -> int | None:
        """None where the repository has no such blob; -1 where the registry does not tell."""
        path = f"{self._root}/blobs/{digest}"
        async with self._transport.request(
            "HEAD", path, scope=self._scope, headers={"Accept-Encoding": "identity"}, patient=True
        ) as response:
            if response.status == 404:
                return None
            length = response.headers.get("Content-Length", "")
            return int(length[:20]) if length.isascii() and length.isdigit() else -1

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


def _tags(raw: bytes, name: str) -> list[str]:
    try:
        body = parse_json(raw)
    except ValueError:
        body = None
    tags = body.get("tags") if isinstance(body, dict) else None
    if tags is None and isinstance(body, dict):
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidArgument(f"tags of {name}: malformed answer")
    return tags


def _range_start(response: aiohttp.ClientResponse) -> int:
    unit, _, span = response.headers.get("Content-Range", "").partition(" ")
    start = span.partition("-")[0]
    return int(start) if unit == "bytes" and start.isascii() and start.isdigit() else -1
