"""What builds leave when they are cut off, and what they make of archives that are out to harm."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import io
import os
import socket
import tarfile
import time
from collections.abc import Callable
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


def test_the_daemon_is_killed_while_files_are_copied(site: Site) -> None:
    first, big = "RUN echo > /first", os.urandom(1 << 20) * 60
    text = f"FROM BASE\n{first}\nCOPY big /big\nRUN wc -c < /big\n"

    def cut_off() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            site.build(text, big=big)

    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(cut_off)
        until(lambda: first in site.remembered() and bool(site.containers()))
        kill_daemon(site.engine)
        building.result(_DEADLINE_S)
    ensure_running(site.engine)
    site.check_nothing_is_left()
    done = site.build(text, big=big)
    assert "Using cache" in done
    assert str(len(big)) in done
    assert "Successfully built" in done
    site.check_nothing_is_left()


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
