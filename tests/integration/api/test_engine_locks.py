"""Projects' locks in a real engine: clients that wait, go and are killed, and a killed daemon."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docker
import pytest
from engine_request import request
from killed_daemon import kill_daemon

from stackr.runtime.connect import connect
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running
from stackr.stack.lock import project_lock

pytestmark = pytest.mark.root
_BEHIND_THE_FIRST = b'"waiting", "holder": {"pid": 101, "user": "ann", "host": "far"'


def _ask(engine: Path, pid: int) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(60)
    client.connect(os.fspath(engine))
    client.sendall(
        b"POST /stackr/v1/locks?project=demo&pid=%d&user=ann&host=far HTTP/1.1\r\n"
        b"Host: x\r\nContent-Length: 0\r\n\r\n" % pid
    )
    return client


def _until_says(client: socket.socket, text: bytes) -> None:
    seen = b""
    while text not in seen:
        data = client.recv(4096)
        assert data, seen
        seen += data


def test_clients_wait_in_order_and_their_end_lets_go(engine: EngineConfig) -> None:
    with _ask(engine.socket, 101) as first:
        _until_says(first, b'"held"')
        second = _ask(engine.socket, 102)
        _until_says(second, _BEHIND_THE_FIRST)
        third = _ask(engine.socket, 103)
        _until_says(third, _BEHIND_THE_FIRST)
    with second, third:
        _until_says(second, b'"held"')
        second.close()
        _until_says(third, b'"held"')


_CHANGER = """
import socket, sys, time
lock, other = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
head = "POST /{} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n"
lock.connect(sys.argv[1])
lock.sendall(head.format("stackr/v1/locks?project=demo&pid=7&user=ann&host=far").encode())
while b'"held"' not in lock.recv(4096):
    pass
other.connect(sys.argv[1])
other.sendall(head.format(f"containers/{sys.argv[2]}/stop?t=1").encode())
print(flush=True)
time.sleep(1000)
"""
"""Has the lock, and stops a container that takes a second to stop."""


def test_what_a_killed_client_began_ends_before_its_lock_is_free(
    engine: EngineConfig, busybox_image: str
) -> None:
    with closing(docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=60)) as client:
        client.images.pull(busybox_image)
        stubborn = client.containers.run(busybox_image, ["sleep", "1000"], detach=True)
        command = [sys.executable, "-c", _CHANGER, str(engine.socket), stubborn.id]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as changer:
            assert changer.stdout is not None
            assert changer.stdout.readline() == b"\n"
            changer.kill()
        with _ask(engine.socket, 101) as next_one:
            _until_says(next_one, b'"held"')
            stubborn.reload()
            assert stubborn.status == "exited"
        stubborn.remove()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("project=Demo&pid=1", "is not a project's name"),
        ("project=..%2Fx&pid=1", "is not a project's name"),
        ("project=demo", 'query parameter "pid": not a process: ""'),
        ("project=demo&pid=-1", "not a process"),
        ("project=demo&pid=1&force=1", 'query parameter "force": unknown'),
    ],
)
def test_what_is_no_lock(engine: EngineConfig, query: str, error: str) -> None:
    status, answer = request(engine.socket, "POST", f"/stackr/v1/locks?{query}")
    assert status == 400
    assert error in answer["message"]


async def test_a_killed_daemon_leaves_it_with_who_had_it(
    new_engine: Callable[[], EngineConfig],
) -> None:
    config = new_engine()
    address = f"unix://{config.socket}"
    told: list[str] = []
    async with await connect(address) as one, await connect(address) as two:
        assert one.capabilities.locks
        assert await one.identity() == await two.identity() != address

        async def wait() -> None:
            async with project_lock(two, "demo", waiting=told.append):
                pass

        async with project_lock(one, "demo", waiting=pytest.fail):
            waiter = asyncio.ensure_future(wait())
            while not told:
                await asyncio.sleep(0.01)
            told.clear()
            await asyncio.to_thread(kill_daemon, config)
            await asyncio.to_thread(ensure_running, config)
            while not told and not waiter.done():
                await asyncio.sleep(0.01)
            assert not waiter.done()
        await waiter
