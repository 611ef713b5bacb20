"""An engine at its limit of open files: the one call is refused by name, and all else goes on."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from engine_request import request
from polling import until
from stackr_stack import STACKR

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import log_path
from stackr.runtime.engine.lock import holder

pytestmark = pytest.mark.root

_LIMIT = 128
_LOW_LIMIT = 64  # of which a daemon has a third for itself
_CONTAINERS = 34
_TOO_MANY = "engine: too many open files: its limit is 128"


@pytest.fixture
def engine(new_engine: Callable[[], EngineConfig], busybox_image: str) -> EngineConfig:
    """It may open few files; the test image is `busybox`."""
    config = new_engine()
    _limit(config, _LIMIT)
    client = _client(config)
    client.images.pull(busybox_image).tag("busybox")
    client.close()
    return config


def _limit(config: EngineConfig, most: int) -> None:
    resource.prlimit(_pid(config), resource.RLIMIT_NOFILE, (most, most))


def _pid(config: EngineConfig) -> int:
    pid = holder(config.data_root)
    assert pid is not None
    return pid


def _client(config: EngineConfig) -> Any:
    return docker.DockerClient(base_url=f"unix://{config.socket}", version="1.47", timeout=60)


@pytest.fixture
def client(engine: EngineConfig) -> Iterator[Any]:
    client = _client(engine)
    yield client
    client.close()


def _connected(config: EngineConfig, stack: ExitStack, sent: str = "") -> socket.socket:
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    connection.settimeout(60)
    connection.connect(os.fspath(config.socket))
    connection.sendall(sent.encode())
    return connection


def test_it_refuses_by_name_and_goes_on(engine: EngineConfig, client: Any) -> None:
    """One engine for all, as starting one is what takes time."""
    _idle_clients_keep_nobody_out(engine)
    _execs_are_refused_before_anything_is_made(engine, client)
    _followers_are_served_or_told(engine, client)
    _the_next_start_takes_over_whatever_its_limit(engine, client)


def _idle_clients_keep_nobody_out(engine: EngineConfig) -> None:
    with ExitStack() as stack:
        for sent in ("", "GET /_ping HT"):  # nothing, and half a request
            for _ in range(150):
                _connected(engine, stack, sent)
        assert request(engine.socket, "GET", "/containers/json") == (200, [])


def _execs_are_refused_before_anything_is_made(engine: EngineConfig, client: Any) -> None:
    web = client.containers.run("busybox", "sleep 1000", detach=True, network_mode="none")
    started = 0
    while True:
        _, session = request(
            engine.socket, "POST", f"/containers/{web.id}/exec", {"Cmd": ["sleep", "1000"]}
        )
        path = f"/exec/{session['Id']}"
        status, answer = request(engine.socket, "POST", f"{path}/start", {"Detach": True})
        if status != 200:
            break
        started += 1
    assert (status, answer["message"]) == (503, _TOO_MANY)
    assert request(engine.socket, "GET", f"{path}/json")[1]["Running"] is False
    assert started > 20
    assert _held(engine, "pipe:") == 2 * started
    with pytest.raises(docker.errors.APIError, match="too many open files"):
        client.containers.run("busybox", "true", name="more", network_mode="none")
    client.containers.get("more").remove()
    web.remove(force=True)
    until(lambda: _held(engine, "pipe:") == 0)
    assert client.containers.run("busybox", "echo on", network_mode="none", remove=True) == b"on\n"


def _followers_are_served_or_told(engine: EngineConfig, client: Any) -> None:
    web = client.containers.run("busybox", "sleep 1000", detach=True, network_mode="none")
    with ExitStack() as stack:
        sent = f"GET /containers/{web.id}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n"
        connections = [_connected(engine, stack, sent) for _ in range(150)]
        answers = [connection.recv(4096) for connection in connections]
        assert {answer.split(b" ")[1] for answer in answers} == {b"200", b"503"}
        path = f"/containers/{web.id}/logs?follow=1&stdout=1"
        status, answer = request(engine.socket, "GET", path)
        assert (status, answer["message"]) == (503, _TOO_MANY)
        assert request(engine.socket, "GET", "/containers/json")[1][0]["Id"] == web.id
    web.remove(force=True)


def _the_next_start_takes_over_whatever_its_limit(engine: EngineConfig, client: Any) -> None:
    def start(_: int) -> Any:
        return client.containers.run("busybox", "sleep 1000", detach=True, network_mode="none")

    with ThreadPoolExecutor(4) as pool:
        webs = list(pool.map(start, range(_CONTAINERS)))
    client.close()
    control.stop(engine, timeout_s=60)
    environ = {
        **os.environ,
        "STACKR_DATA_ROOT": str(engine.data_root),
        "STACKR_EXEC_ROOT": str(engine.exec_root),
    }
    limits = f"--nofile={_LOW_LIMIT}:{_LOW_LIMIT}"
    subprocess.run(["prlimit", limits, STACKR, "engine", "start"], env=environ, check=True)
    assert len(client.containers.list()) == _CONTAINERS
    for web in webs[::10]:
        web.kill()
        until(partial(_is_killed, web))
    for web in webs:
        web.remove(force=True)
    until(lambda: _held(engine, "anon_inode:[pidfd]") < 3)  # of the resolver and the relay
    assert "Traceback" not in log_path(engine).read_text()


def _held(config: EngineConfig, kind: str) -> int:
    found = 0
    for fd in Path(f"/proc/{_pid(config)}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += os.readlink(fd).startswith(kind)
    return found


def _is_killed(container: Any) -> bool:
    container.reload()
    state = container.attrs["State"]
    return not state["Running"] and state["ExitCode"] == 137


def test_too_low_a_limit_is_told(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "STACKR_DATA_ROOT": str(tmp_path / "data"),
        "STACKR_EXEC_ROOT": str(tmp_path / "run"),
    }
    done = subprocess.run(
        ["prlimit", "--nofile=48:48", STACKR, "engine", "start"],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "engine: too few open files: the limit is 48, and it needs 64" in done.stderr
