"""What builds leave when they are cut off, and what they make of archives that are out to harm."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import http.server
import io
import json
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engine_request import raw_request, request
from killed_daemon import kill_daemon

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running

pytestmark = pytest.mark.root

_DEADLINE_S = 60


class Site:
    """An engine with the test image, and classic builds on it."""

    def __init__(self, engine: EngineConfig, base: str) -> None:
        self.engine = engine
        self.base = base
        name = base.rpartition(":")[0]
        raw_request(engine.socket, "POST", f"/images/create?fromImage={name}&tag=latest", None, "")

    def build(self, text: str, **files: bytes) -> str:
        """The lines of a build."""
        body = context(Dockerfile=text.replace("BASE", self.base).encode(), **files)
        _, data = raw_request(self.engine.socket, "POST", "/build", body, "application/x-tar")
        return data.decode()

    def containers(self) -> list[Any]:
        found: list[Any] = request(self.engine.socket, "GET", "/containers/json?all=1")[1]
        return found

    def remembered(self) -> list[str]:
        known = request(self.engine.socket, "GET", "/stackr/v1/build/cache")[1].values()
        return [entry["Description"] for entry in known]

    def received(self) -> list[Path]:
        return list((self.engine.data_root / "build/contexts").glob("*/*"))

    def check_nothing_is_left(self) -> None:
        assert self.containers() == []
        assert self.received() == []

    def blobs(self) -> set[str]:
        return {path.name for path in (self.engine.content_root / "blobs/sha256").iterdir()}


@contextlib.contextmanager
def served(size: int, *, stalls: bool = False) -> Iterator[tuple[str, threading.Event]]:
    """An address of a file of zeros; stalls: its second half never comes.

    The event is set once nobody waits for that half any more.
    """
    gone = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(size >> (21 if stalls else 20)):
                    self.wfile.write(bytes(1 << 20))
                if stalls:
                    self.connection.recv(1)
            gone.set()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/file", gone
        server.shutdown()


def context(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it has not come to hold"
        time.sleep(0.01)


@pytest.fixture
def site(new_engine: Callable[..., EngineConfig], busybox_image: str) -> Site:
    return Site(new_engine(), busybox_image)


FIRST = "RUN echo > /first"
BIG = os.urandom(1 << 20) * 40


class Cut:
    """A build that is cut off in the step after FIRST, and what is asked of the next one."""

    def __init__(self, site: Site, text: str, **files: bytes) -> None:
        self._site = site
        self._text = f"FROM BASE AS base\n{FIRST}\n{text}"
        self._files = files

    def body(self) -> bytes:
        text = self._text.replace("BASE", self._site.base)
        return context(Dockerfile=text.encode(), **self._files)

    def is_in_step(self) -> bool:
        return FIRST in self._site.remembered() and bool(self._site.containers())

    def is_fetching(self) -> bool:
        fetched = (self._site.engine.data_root / "build/fetched").glob("*/file")
        return any(path.stat().st_size > 1 << 20 for path in fetched)

    def by_the_daemon(self, holds: Callable[[], bool]) -> None:
        """SIGKILL of the daemon once it holds; another one is there then."""
        with ThreadPoolExecutor(1) as pool:
            building = pool.submit(self._build_in_vain)
            until(lambda: holds() or building.done())
            kill_daemon(self._site.engine)
            building.result(_DEADLINE_S)
        ensure_running(self._site.engine)

    def by_the_client(self, holds: Callable[[], bool]) -> None:
        """As where the client is killed: its socket closes."""
        body = self.body()
        head = f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._site.engine.socket))
            connection.sendall(head.encode() + body)
            until(lambda: holds() or b"Successfully" in _heard(connection))
        until(lambda: self._site.containers() == [] and self._site.received() == [])

    def _build_in_vain(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._site.build(self._text, **self._files)

    def check_next(self, text: str | None = None) -> str:
        """It goes on after FIRST; returns what it says."""
        self._site.check_nothing_is_left()
        done = self._site.build(
            self._text if text is None else f"FROM BASE\n{FIRST}\n{text}", **self._files
        )
        assert "Using cache" in done
        assert "Successfully built" in done
        self._site.check_nothing_is_left()
        return done


def _heard(connection: socket.socket) -> bytes:
    """What has come so far; it is not taken."""
    with contextlib.suppress(BlockingIOError):
        return connection.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return b""


@pytest.mark.parametrize("step", ["COPY", "ADD"])
def test_somebody_is_killed_while_files_are_copied(site: Site, step: str) -> None:
    """First the client, then the daemon."""
    cut = Cut(site, f"{step} big /big\nRUN wc -c < /big\n", big=BIG)
    cut.by_the_client(cut.is_in_step)
    cut.by_the_daemon(cut.is_in_step)
    assert str(len(BIG)) in cut.check_next()


def test_somebody_is_killed_while_an_address_is_fetched(site: Site) -> None:
    with served(8 << 20, stalls=True) as (address, gone):
        cut = Cut(site, f"ADD {address} /\n")
        cut.by_the_client(cut.is_fetching)
        assert gone.wait(_DEADLINE_S), "the daemon still waits for the file"
        gone.clear()
        cut.by_the_daemon(cut.is_fetching)
    cut.check_next("RUN true\n")


def test_somebody_is_killed_while_an_archive_is_unpacked(site: Site) -> None:
    cut = Cut(site, "ADD a.tar /to/\nRUN wc -c < /to/big\n", **{"a.tar": context(big=BIG)})
    cut.by_the_client(cut.is_in_step)
    cut.by_the_daemon(cut.is_in_step)
    assert str(len(BIG)) in cut.check_next()


def test_somebody_is_killed_while_a_stage_is_copied(site: Site) -> None:
    """The stage is whole by then, and is not made again."""
    made = "RUN head -c 60000000 /dev/urandom > /big"
    cut = Cut(site, f"{made}\nFROM BASE\nCOPY --from=base /big /\n")

    def is_copied() -> bool:
        return made in site.remembered() and bool(site.containers())

    cut.by_the_client(is_copied)
    site.build(f"FROM BASE\n{made}\n")
    cut.by_the_daemon(is_copied)
    assert cut.check_next().count("Using cache") >= 2


def test_the_daemon_is_killed_while_a_context_comes_in(site: Site) -> None:
    body = context(Dockerfile=f"FROM {site.base}\n".encode(), big=bytes(8 << 20))
    head = f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.engine.socket))
        connection.sendall(head.encode() + body[: 6 << 20])
        until(lambda: any(path.stat().st_size > 1 << 20 for path in site.received()))
        kill_daemon(site.engine)
    ensure_running(site.engine)
    site.check_nothing_is_left()
    assert "Successfully built" in site.build("FROM BASE\nRUN true\n")


def test_a_client_that_goes_while_the_cache_is_exported(site: Site) -> None:
    """What was packed for it goes with it."""
    site.build("FROM BASE\nRUN head -c 20000000 /dev/urandom > /noise\n")
    before = site.blobs()
    known = request(site.engine.socket, "GET", "/stackr/v1/build/cache")[1]
    body = json.dumps({"Keys": list(known)}).encode()
    head = (
        "POST /stackr/v1/build/cache/archive HTTP/1.1\r\nHost: x\r\nContent-Length: "
        f"{len(body)}\r\nContent-Type: application/json\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.engine.socket))
        connection.sendall(head.encode() + body)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert site.blobs() > before
    until(lambda: site.blobs() == before)


def test_an_archive_that_is_a_bomb(
    new_engine: Callable[..., EngineConfig], busybox_image: str
) -> None:
    """It unpacks to more than the disk has room for: that is told, and nothing is left."""
    site = Site(new_engine("48m"), busybox_image)
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 30
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as output:
        output.write(info.tobuf())
        for _ in range(1 << 7):
            output.write(bytes(1 << 20))
    said = site.build("FROM BASE\nADD bomb.tar.gz /to/\n", **{"bomb.tar.gz": packed.getvalue()})
    assert "no space left on device" in said.lower()
    site.check_nothing_is_left()
    assert "Successfully built" in site.build("FROM BASE\nRUN echo > /after\n")


def test_a_context_that_has_no_room(
    new_engine: Callable[..., EngineConfig], busybox_image: str
) -> None:
    """It is refused, whether the process that takes it in ends before or after all is sent."""
    site = Site(new_engine("16m"), busybox_image)
    for path in ("/build", "/stackr/v1/build/contexts"):
        body = context(large=os.urandom(32 << 20))
        _, data = raw_request(site.engine.socket, "POST", path, body, "application/x-tar")
        assert b"No space left on device" in data
        assert site.received() == []


def test_a_file_by_address_that_has_no_room(
    new_engine: Callable[..., EngineConfig], busybox_image: str
) -> None:
    site = Site(new_engine("48m"), busybox_image)
    with served(100 << 20) as (address, gone):
        said = site.build(f"FROM BASE\n{FIRST}\nADD {address} /\n")
        assert "no space left on device" in said.lower()
        assert gone.wait(_DEADLINE_S)
    assert not list((site.engine.data_root / "build/fetched").iterdir())
    site.check_nothing_is_left()
    assert "Using cache" in site.build(f"FROM BASE\n{FIRST}\nRUN true\n")


def test_what_is_packed_has_no_room(
    new_engine: Callable[..., EngineConfig], busybox_image: str
) -> None:
    """A layer that was built is packed as the cache or the image leaves the engine."""
    site = Site(new_engine("48m"), busybox_image)
    text = f"FROM {site.base}\nRUN head -c 28000000 /dev/urandom > /noise\n"
    target = f"{site.base.partition('/')[0]}/t-full:cache"
    body = {"DockerfileText": text, "Tags": ["noise"], "CacheTo": [{"Ref": target, "Max": True}]}
    before = site.blobs()
    said = raw_request(
        site.engine.socket,
        "POST",
        "/stackr/v1/build",
        json.dumps(body).encode(),
        "application/json",
    )[1].decode()
    assert "no space left on device" in said.lower()
    site.check_nothing_is_left()
    status, data = raw_request(site.engine.socket, "GET", "/images/noise/get", None, "")
    assert (status, b"no space left on device" in data.lower()) == (500, True), data
    left = {
        name
        for name in site.blobs() - before
        if (site.engine.content_root / "blobs/sha256" / name).stat().st_size > 1 << 20
    }
    assert not left
    assert "Using cache" in site.build(text)
    assert "Successfully built" in site.build("FROM BASE\nRUN echo > /after\n")


def test_the_cache_is_kept_to_its_limit(
    new_engine: Callable[..., EngineConfig], busybox_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKR_BUILD_CACHE_MB", "2")
    site = Site(new_engine(), busybox_image)
    steps = [f"RUN head -c 900000 /dev/urandom > /{name}" for name in "abc"]
    for step in steps:
        site.build(f"FROM BASE\n{step}\n")
    assert [step for step in steps if step in site.remembered()] == steps[1:]
    assert "Using cache" in site.build(f"FROM BASE\n{steps[1]}\n")
    site.build(f"FROM BASE\n{steps[0]}\n")
    assert set(site.remembered()) & set(steps) == {steps[0], steps[1]}
