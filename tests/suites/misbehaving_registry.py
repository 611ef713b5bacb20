"""A registry in the test's process that can be told to misbehave; it keeps what it heard."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from oci_builder import BuiltImage, digest_of

_RECEIVED_AHEAD: Final = 64 << 10

BlobFault = Callable[[web.Request, bytes], Awaitable[web.StreamResponse | None]]
Gate = Callable[[web.Request], web.Response | None]


@dataclass(frozen=True)
class Heard:
    """One request, as it came in."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class MisbehavingRegistry:
    """Serves images added by `add`; an asynchronous context manager.

    on_blob answers in place of the blob's content, or returns None to let it pass. gate does so
    for every request (to ask for credentials); on_request only delays it.
    """

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    on_blob: BlobFault | None = None
    gate: Gate | None = None
    on_request: Callable[[web.Request], Awaitable[None]] | None = None
    ranges: bool = True
    digest_header: bool = True
    host: str = ""

    def add(self, image: BuiltImage, name: str = "app", tag: str = "latest") -> str:
        """Offer an image; returns the reference to pull it by."""
        self.blobs |= image.blobs
        entry = (image.media_type, image.manifest)
        self.manifests |= {f"{name}:{tag}": entry, f"{name}:{image.digest}": entry}
        for digest, data in image.blobs.items():
            if b'"layers"' in data:
                self.manifests[f"{name}:{digest}"] = (
                    "application/vnd.oci.image.manifest.v1+json",
                    data,
                )
        return f"{self.host}/{name}:{tag}"

    def count(self, method: str, part: str) -> int:
        return sum(1 for h in self.heard if h.method == method and part in h.path)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 30)
        self.add_routes(app)
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", self._blob)
        app.router.add_get("/{rest:.*}", self._other)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_AHEAD)
        site = web.SockSite(self._runner, listener)
        await site.start()
        address = self._runner.addresses[0]
        self.host = f"{address[0]}:{address[1]}"
        return self

    def add_routes(self, app: web.Application) -> None:
        """What a registry of another kind answers besides."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _listen(self, request: web.Request) -> web.Response | None:
        self.heard.append(Heard(request.method, request.path_qs, dict(request.headers)))
        if self.on_request is not None:
            await self.on_request(request)
        return self.gate(request) if self.gate else None

    async def _manifest(self, request: web.Request) -> web.Response:
        if (refusal := await self._listen(request)) is not None:
            return refusal
        key = f"{request.match_info['name']}:{request.match_info['reference']}"
        if key not in self.manifests:
            error = {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}
            return web.json_response({"errors": [error]}, status=404)
        media_type, data = self.manifests[key]
        headers = {"Content-Type": media_type}
        if self.digest_header:
            headers["Docker-Content-Digest"] = digest_of(data)
        return web.Response(body=data, headers=headers)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        if (refusal := await self._listen(request)) is not None:
            return refusal
        data = self.blobs.get(request.match_info["digest"])
        if data is None:
            error = {"code": "BLOB_UNKNOWN", "message": "blob unknown to registry"}
            return web.json_response({"errors": [error]}, status=404)
        if self.on_blob is not None:
            answer = await self.on_blob(request, data)
            if answer is not None:
                return answer
        return self.serve(request, data)

    def serve(self, request: web.Request, data: bytes) -> web.Response:
        """The content, or the range of it that is asked for."""
        wanted = request.headers.get("Range")
        if wanted is None or not self.ranges:
            return web.Response(body=data)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[start:], headers=headers)

    async def _other(self, request: web.Request) -> web.Response:
        return await self._listen(request) or web.Response(status=404)


async def cut(request: web.Request, data: bytes, at: int) -> web.StreamResponse:
    """Promise the whole content, send it up to byte `at`, and drop the connection."""
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    status = 206 if start else 200
    headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(data) - start
    await response.prepare(request)
    await response.write(data[start:at])
    assert request.transport is not None
    request.transport.close()
    return response
