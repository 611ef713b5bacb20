"""A registry in the test's process that takes uploads, and can be told to take them badly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from aiohttp import web
from misbehaving_registry import MisbehavingRegistry
from oci_builder import digest_of

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class UploadingRegistry(MisbehavingRegistry):
    """faults: by the name of a step (begin, piece, status, end, manifest, head); each answers in
    place of the step, or returns None to let it pass. uploads: what has arrived, by number.
    """

    uploads: dict[str, bytearray] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    repositories: dict[str, set[str]] = field(default_factory=dict)
    tagged: dict[str, bytes] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def add_routes(self, app: web.Application) -> None:
        uploads = "/v2/{name:.+}/blobs/uploads/"
        app.router.add_post(uploads, self._step("begin", self._begin))
        app.router.add_patch(uploads + "{number}", self._step("piece", self._piece))
        app.router.add_get(uploads + "{number}", self._step("status", self._status))
        app.router.add_put(uploads + "{number}", self._step("end", self._end))
        app.router.add_delete(uploads + "{number}", self._step("cancel", self._cancel))
        app.router.add_head("/v2/{name:.+}/blobs/{digest}", self._step("head", self._head))
        app.router.add_put(
            "/v2/{name:.+}/manifests/{reference}", self._step("manifest", self._put_manifest)
        )

    def _step(
        self, name: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def step(request: web.Request) -> web.StreamResponse:
            if (refusal := await self._listen(request)) is not None:
                return refusal
            fault = self.faults.get(name)
            answer = await fault(request) if fault else None
            if answer is None:
                return await handler(request)
            return answer

        return step

    def has(self, name: str) -> set[str]:
        return self.repositories.setdefault(name, set())

    def told(self, request: web.Request, number: str) -> dict[str, str]:
        """The headers that say how far an upload is."""
        size = len(self.uploads[number])
        path = f"/v2/{request.match_info['name']}/blobs/uploads/{number}?_state=a%2Bb%3D%3D"
        return {"Location": path, "Range": f"0-{max(size - 1, 0)}", "Docker-Upload-UUID": number}

    async def _head(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        if digest not in self.has(request.match_info["name"]):
            return web.Response(status=404)
        return web.Response(headers={"Content-Length": str(len(self.blobs[digest]))})

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        digest, source = request.query.get("mount"), request.query.get("from")
        if digest and source and digest in self.has(source):
            self.has(request.match_info["name"]).add(digest)
            return web.Response(status=201, headers={"Location": "/x"})
        number = str(next(self.numbers))
        self.uploads[number] = bytearray()
        return web.Response(status=202, headers=self.told(request, number))

    async def _piece(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        if number not in self.uploads:
            return web.Response(status=404)
        start = int(request.headers["Content-Range"].partition("-")[0])
        if start != len(self.uploads[number]):
            return web.Response(status=416, headers=self.told(request, number))
        async for data in request.content.iter_any():
            self.uploads[number] += data
        return web.Response(status=202, headers=self.told(request, number))

    async def _status(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        if number not in self.uploads:
            return web.Response(status=404)
        return web.Response(status=204, headers=self.told(request, number))

    async def _end(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        data = bytes(self.uploads.pop(number, b""))
        digest = request.query["digest"]
        if digest_of(data) != digest:
            error = {"code": "DIGEST_INVALID", "message": "provided digest did not match"}
            return web.json_response({"errors": [error]}, status=400)
        self.blobs[digest] = data
        self.has(request.match_info["name"]).add(digest)
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        self.uploads.pop(request.match_info["number"], None)
        return web.Response(status=204)

    async def _put_manifest(self, request: web.Request) -> web.StreamResponse:
        raw, media_type = await request.read(), request.headers["Content-Type"]
        name, reference = request.match_info["name"], request.match_info["reference"]
        self.tagged[f"{name}:{reference}"] = raw
        for key in (reference, digest_of(raw)):
            self.manifests[f"{name}:{key}"] = (media_type, raw)
        return web.Response(status=201, headers={"Docker-Content-Digest": digest_of(raw)})
