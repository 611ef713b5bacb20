"""What is at its end, and told so: descriptors, processes, threads. Nothing half-made is left."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest
from open_files import open_files, room_for

from stackr.errors import Unavailable
from stackr.runtime.engine.api.errors import explain
from stackr.runtime.engine.container.exec.ends import pipes
from stackr.runtime.engine.linux import descriptors, launcher
from stackr.runtime.engine.linux.descriptors import Descriptors
from stackr.runtime.engine.linux.process import Process, start_ticks


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EMFILE, ""), "engine: too many open files: its limit is"),
        (OSError(errno.ENFILE, ""), "engine: too many open files on this host"),
        (BlockingIOError(errno.EAGAIN, ""), "engine: no more processes or threads"),
        (RuntimeError("can't start new thread"), "engine: no more processes or threads"),
    ],
)
def test_a_limit_is_told_by_its_name(error: Exception, message: str) -> None:
    status, body = explain(error, "GET /x")
    assert status == 503
    assert body["message"].startswith(message)
    assert body["hint"].startswith("raise")


async def test_claims_wait_for_each_other_and_are_refused_alone() -> None:
    claims = Descriptors()
    with room_for(100):
        spare = descriptors.free() - 2 * descriptors.share()
        async with claims.claim(spare - 5):
            second = asyncio.ensure_future(_claim(claims, 10))
            await asyncio.sleep(0)
            assert not second.done()
        await second
        with pytest.raises(Unavailable, match="too many open files"):
            await _claim(claims, spare + 5)
    await _claim(claims, 1)


async def _claim(claims: Descriptors, count: int) -> None:
    async with claims.claim(count):
        pass


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


async def test_any_number_waits_for_an_end_by_one_descriptor(
    child: subprocess.Popen[bytes],
) -> None:
    before = open_files()
    process = Process.find(child.pid, start_ticks(child.pid))
    assert process is not None
    with process:
        waiting = [asyncio.ensure_future(process.ended()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert open_files() == before + 1
        assert process.kill(signal.SIGKILL)
        async with asyncio.timeout(60):
            await asyncio.gather(*waiting[1:])
    assert open_files() == before


async def test_where_descriptors_are_scarce_an_end_is_noticed_without(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_files()
    monkeypatch.setattr(descriptors, "are_scarce", lambda: True)
    process = Process.find(child.pid, start_ticks(child.pid))
    assert process is not None
    assert open_files() == before
    assert process.kill(signal.SIGKILL)
    async with asyncio.timeout(60):
        await process.ended()
    assert child.wait() == -signal.SIGKILL
    assert not process.kill(signal.SIGKILL)
    assert Process.find(child.pid, start_ticks(child.pid)) is None


def test_without_a_descriptor_nothing_is_taken_for_ended(child: subprocess.Popen[bytes]) -> None:
    started = start_ticks(child.pid)
    with room_for(0):
        with pytest.raises(OSError, match="Too many open files"):
            start_ticks(child.pid)
        with pytest.raises(OSError, match="Too many open files"):
            Process.find(child.pid, started)


@pytest.mark.parametrize("room", range(6))
def test_pipes_of_which_one_is_missing_are_closed(room: int) -> None:
    before = open_files()
    with room_for(room), pytest.raises(OSError, match="Too many open files"):
        pipes(stdin=True)
    assert open_files() == before


def test_a_launcher_that_cannot_fork_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fork)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert launcher._fork(theirs, {"id": 7}, [], "true") == 0
        told = [json.loads(ours.recv(4096)) for _ in range(2)]
    assert told[0]["error"].startswith("no more processes can be started: Resource temporarily")
    assert told[1] == {"id": 7, "exit": 125}
