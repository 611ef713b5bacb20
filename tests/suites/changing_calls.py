"""Each call of the API that changes something: what is there before it, and how it is made.

What exists is told in names and states (`Site.view`), so that the state after a daemon was killed
in the middle of a call, or its disk was full, can be compared with those before and after one that
went well.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import random
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import loopback_registry
from engine_request import raw_request
from oci_builder import archive, build, member
from polling import until

from stackr.runtime.engine.config import EngineConfig

__all__ = [
    "CALLS",
    "Call",
    "Site",
    "View",
    "archive_of",
    "build_context",
    "called",
    "cleared",
    "is_made",
    "is_whole",
    "made_whole",
    "new_site",
]

View = tuple[str, ...]

_TAR: Final = "application/x-tar"
_JSON: Final = "application/json"
_MARK: Final = "data/mark"
_BYTES: Final = 8 << 20
_EMPTY: Final = ("containers", "volumes", "snapshots/new", "snapshots/trash", "build/contexts")


@dataclass
class Site:
    """An engine. image: the test image, which it has. other: one in the registry alone."""

    engine: EngineConfig
    image: str
    other: str
    kept: bytes = b""

    def ask(
        self, method: str, path: str, body: object = None, *, tar: bytes = b""
    ) -> tuple[int, Any]:
        """The status, and the answer as JSON, or as text where it is none."""
        data = tar or (None if body is None else json.dumps(body).encode())
        kind = _TAR if tar else "" if body is None else _JSON
        status, text = raw_request(self.engine.socket, method, path, data, kind)
        with contextlib.suppress(ValueError):
            return status, json.loads(text)
        return status, text

    def must(self, method: str, path: str, body: object = None, *, tar: bytes = b"") -> Any:
        status, answer = self.ask(method, path, body, tar=tar)
        assert status < 300, f"{method} {path}: {status}: {answer}"
        return answer

    def create(self, name: str, **settings: Any) -> None:
        config = {
            "Image": self.image,
            "Cmd": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
            "Volumes": {"/anonymous": {}},
            "HostConfig": {"Binds": ["named:/named"]},
            **settings,
        }
        self.must("POST", f"/containers/create?name={name}", config)

    def run(self, name: str = "it") -> None:
        self.create(name)
        self.must("POST", f"/containers/{name}/start")

    def view(self) -> View:
        """What exists, each in a line."""
        containers = self.must("GET", "/containers/json?all=1")
        volumes = [volume["Name"] for volume in self.must("GET", "/volumes")["Volumes"] or ()]
        images = self.must("GET", "/images/json?all=1")
        networks = self.must("GET", "/networks")
        tags = [tag for image in images for tag in image["RepoTags"] or ("untagged",)]
        return (
            *sorted(self._container(each["Id"]) for each in containers),
            *sorted(f"volume {name if len(name) < 64 else 'anonymous'}" for name in volumes),
            *sorted(self._network(network) for network in networks),
            *sorted(_lease(lease) for lease in self.must("GET", "/stackr/v1/leases")),
            *sorted(f"image {tag}" for tag in tags),
        )

    def _network(self, network: dict[str, Any]) -> str:
        if network["Driver"] != "bridge":
            return f"network {network['Name']}"
        faults = self.must("GET", f"/stackr/v1/networks/{network['Id']}/faults")
        return f"network {network['Name']}{' taken apart' if faults else ''}"

    def _container(self, id: str) -> str:
        shown = self.must("GET", f"/containers/{id}/json")
        marked, _ = self.ask("HEAD", f"/containers/{id}/archive?path=/{_MARK}")
        networks = ",".join(sorted(shown["NetworkSettings"]["Networks"]))
        state = shown["State"]
        own = shown.get("Stackr", {})
        standby = own.get("Standby"), bool(own.get("ReplacedBy"))
        labels = shown["Config"]["Labels"].get("mark"), standby
        told = state["Status"], networks, shown["HostConfig"]["Memory"], marked == 200, labels
        return f"container {shown['Name']} {told} {len(shown['Mounts'])}"

    def clear(self) -> None:
        """Remove all but the test image."""
        for container in self.must("GET", "/containers/json?all=1"):
            self.must("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        for lease in self.must("GET", "/stackr/v1/leases"):
            self.must("DELETE", f"/stackr/v1/leases/{lease['id']}")
        for kind in ("networks", "volumes"):
            every = quote('{"all":["true"]}') if kind == "volumes" else ""
            self.must("POST", f"/{kind}/prune?filters={every}")
        self.must("POST", "/build/prune?all=1")
        for image in self.must("GET", "/images/json?all=1"):
            for name in image["RepoTags"] or [image["Id"]]:
                if name != self.image:
                    self.ask("DELETE", f"/images/{name}?force=1")


def _lease(lease: dict[str, Any]) -> str:
    """Its state is left out: one that ends is there until all is gone."""
    return f"lease {lease['project']} {lease['expires'] is None} {lease['owner'] is None}"


def _nothing(_: Site) -> None: ...


@dataclass(frozen=True)
class Call:
    """between: states of containers that are neither before nor after, but may be seen."""

    name: str
    make: Callable[[Site], tuple[int, Any]]
    before: Callable[[Site], None] = _nothing
    between: Sequence[str] = ()
    partly: bool = False
    """It is of several things, of which some may be done."""
    anew: bool = False
    """Made twice, it makes an image anew, and the first one has no name any more."""

    def tried(self, site: Site) -> None:
        """Made in vain, as far as its client knows."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.make(site)


def called(name: str, path: str = "", body: object = None, **how: Any) -> Call:
    """name: starts with the method."""
    method, _, rest = name.partition(" ")
    return Call(name, lambda site: site.ask(method, path or rest, body), **how)


def archive_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        made.addfile(info, io.BytesIO(content))
    return file.getvalue()


_NOISE: Final = b"".join(number.to_bytes(4, "big") for number in range(_BYTES // 4))
_DOCKERFILE: Final = "FROM {}\nRUN head -c 3000000 /dev/zero >/made\nRUN sleep 0.1\n"


def _create(site: Site) -> tuple[int, Any]:
    host = {"Binds": ["named:/named"], "Memory": 64 << 20, "NetworkMode": "net"}
    body = {"Image": site.image, "Volumes": {"/anonymous": {}}, "HostConfig": host}
    return site.ask("POST", "/containers/create?name=it", body)


def _exec(site: Site) -> tuple[int, Any]:
    status, made = site.ask("POST", "/containers/it/exec", {"Cmd": ["sleep", "0.1"]})
    if status != 201:
        return status, made
    return site.ask("POST", f"/exec/{made['Id']}/start", {"Detach": False})


def _put(site: Site) -> tuple[int, Any]:
    return site.ask("PUT", "/containers/it/archive?path=/", tar=archive_of(_MARK, _NOISE))


def _pull(site: Site) -> tuple[int, Any]:
    return site.ask("POST", f"/images/create?fromImage={quote(site.other)}")


def _import(site: Site) -> tuple[int, Any]:
    path = "/images/create?fromSrc=-&repo=imported&tag=1"
    return site.ask("POST", path, tar=archive_of("file", _NOISE))


def _save(site: Site) -> None:
    """What `load` is given; the engine has it no more."""
    _pull(site)
    _, site.kept = raw_request(site.engine.socket, "GET", f"/images/{site.other}/get", None, "")
    site.must("DELETE", f"/images/{site.other}")


def build_context(site: Site) -> bytes:
    return archive_of("Dockerfile", _DOCKERFILE.format(site.image).encode())


def _build(site: Site) -> tuple[int, Any]:
    return site.ask("POST", "/build?t=built:1", tar=build_context(site))


def _pulled(site: Site) -> None:
    _pull(site)


def _built(site: Site) -> None:
    _build(site)


def _stopped(site: Site) -> None:
    site.create("it", HostConfig={})
    site.create("too", HostConfig={})


def _network(site: Site) -> None:
    site.must("POST", "/networks/create", {"Name": "net"})


def _beside_network(site: Site) -> None:
    _network(site)
    site.run()


def _connected(site: Site) -> None:
    _beside_network(site)
    site.must("POST", "/networks/net/connect", {"Container": "it"})


def _paused(site: Site) -> None:
    site.run()
    site.must("POST", "/containers/it/pause")


def _tagged(site: Site) -> None:
    site.must("POST", f"/images/{site.image}/tag?repo=tagged&tag=1")


def _beside_image(site: Site) -> None:
    """An image that is used, and one that is not."""
    site.run()
    _pull(site)


def _volumes(site: Site) -> None:
    for number in range(3):
        site.must("POST", "/volumes/create", {"Name": f"v{number}"})


def _networks(site: Site) -> None:
    for number in range(3):
        site.must("POST", "/networks/create", {"Name": f"n{number}"})


_IT: Final = "/containers/it"
_EVERY: Final = quote('{"all":["true"]}')
_UNUSED: Final = quote('{"dangling":["false"]}')

CALLS: Final = (
    Call("POST /containers/create", _create, _network),
    called(f"POST {_IT}/start", before=lambda site: site.create("it")),
    called(f"POST {_IT}/stop", before=Site.run),
    called(f"POST {_IT}/kill", before=Site.run),
    called(f"POST {_IT}/restart", before=Site.run, between=["exited"]),
    called(f"POST {_IT}/pause", before=Site.run),
    called(f"POST {_IT}/unpause", before=_paused),
    called(f"POST {_IT}/rename", f"{_IT}/rename?name=renamed", before=Site.run),
    called(f"POST {_IT}/update", body={"Memory": 64 << 20, "MemorySwap": -1}, before=Site.run),
    called(f"DELETE {_IT}", f"{_IT}?force=1&v=1", before=Site.run, between=["exited"], partly=True),
    called("POST /containers/prune", before=_stopped, partly=True),
    Call(f"PUT {_IT}/archive", _put, Site.run),
    Call(f"POST {_IT}/exec", _exec, Site.run),
    called(
        "POST /commit", "/commit?container=it&repo=committed&tag=1", {}, before=Site.run, anew=True
    ),
    Call("POST /images/create fromImage", _pull),
    Call("POST /images/create fromSrc", _import, anew=True),
    Call("POST /images/load", lambda site: site.ask("POST", "/images/load", tar=site.kept), _save),
    Call("POST /images/tag", lambda s: s.ask("POST", f"/images/{s.image}/tag?repo=tagged&tag=1")),
    Call("POST /images/push", lambda s: s.ask("POST", f"/images/{s.image}/push")),
    called("DELETE /images/tagged:1", before=_tagged),
    Call("DELETE /images", lambda s: s.ask("DELETE", f"/images/{s.other}"), _pulled),
    called("POST /images/prune", f"/images/prune?filters={_UNUSED}", before=_beside_image),
    Call("POST /build", _build),
    called("POST /build/prune", "/build/prune?all=1", before=_built),
    called("POST /networks/create", body={"Name": "net"}),
    called("POST /networks/net/connect", body={"Container": "it"}, before=_beside_network),
    called("POST /networks/net/disconnect", body={"Container": "it"}, before=_connected),
    called("DELETE /networks/net", before=_network),
    called("POST /networks/prune", before=_networks, partly=True),
    called("POST /volumes/create", body={"Name": "made"}),
    called("DELETE /volumes/v0", before=_volumes),
    called("POST /volumes/prune", f"/volumes/prune?filters={_EVERY}", before=_volumes, partly=True),
)


def new_site(engine: EngineConfig, registry: str, image: str, folder: Path) -> Site:
    """The test image is pulled, and another one pushed. folder: a test's own."""
    other = f"{registry}/test/other:1"
    noise = archive(member("noise", random.Random(1).randbytes(4 << 20)))
    loopback_registry.push(build(noise), other, folder)
    made = Site(engine, image, other)
    made.must("POST", f"/images/create?fromImage={image}")
    return made


def made_whole(site: Site, call: Call) -> tuple[View, View, float]:
    """What exists before and after it, and how long it takes, in seconds."""
    call.before(site)
    before = site.view()
    start = time.monotonic()
    status, answer = call.make(site)
    whole_s = time.monotonic() - start
    assert status < 300, f"{call.name}: {status}: {answer}"
    after = site.view()
    cleared(site, call.name)
    return before, after, whole_s


def is_whole(found: View, before: View, after: View, call: Call) -> bool:
    """As before the call or as after it, or as the call says that it may be."""
    if found in (before, after):
        return True
    seen = {line.replace(f"'{state}'", "'running'") for line in found for state in call.between}
    seen = seen or set(found)
    return seen == set(before) or (call.partly and set(after) <= seen <= set(before))


def is_made(found: View, after: View, call: Call) -> bool:
    """Whether the call, made once more perhaps, has come to its end."""
    named = tuple(line for line in found if line != "image untagged")
    return found == after or (call.anew and named == after)


def cleared(site: Site, moment: str) -> None:
    """All is removed, and no file of it is left."""
    site.clear()
    root = site.engine.data_root
    folders = [root / name for name in _EMPTY]
    until(lambda: not any(map(_files, folders)), f"{moment}: no file of {folders}")


def _files(folder: Path) -> list[Path]:
    return [*folder.iterdir()] if folder.is_dir() else []
