"""A disk that fills up: one line says so, what runs can end and go, and with room all goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from interruption import Site, everything
from killed_daemon import kill_daemon
from small_disk import fill
from stackr_stack import Stack, free_port, until

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

_FULL = "No space left on device"


@pytest.fixture
def stack(tmp_path: Path, new_engine: Callable[[str], EngineConfig], busybox_image: str) -> Stack:
    """On an engine with a small disk."""
    stack = Stack(tmp_path, new_engine("32m"))
    stack.environ["IMAGE"] = busybox_image
    return stack


@pytest.fixture
def site(stack: Stack) -> Site:
    site = Site(stack, free_port())
    site.write(1)
    return site


def images(stack: Stack) -> list[str]:
    client = docker.DockerClient(base_url=f"unix://{stack.engine.socket}", timeout=60)
    try:
        return [str(image.id) for image in client.images.list()]
    finally:
        client.close()


@pytest.mark.parametrize("leave_kib", [2048, 512])
def test_pulled_onto_a_full_disk(site: Site, leave_kib: int) -> None:
    """Too little for the image; and too little to begin with it."""
    ballast = fill(site.stack.engine.data_root, leave_kib << 10)
    told = site.stack("pull", want=1).stderr
    assert _FULL in told
    assert str(site.stack.engine.data_root) in told
    assert images(site.stack) == []
    ballast.unlink()
    site.stack("pull")


def test_what_runs_can_end_on_a_full_disk(site: Site) -> None:
    """Nothing new is made and nothing is lost, whatever happens to the daemon."""
    stack = site.stack
    stack("up", "-d", "--wait")
    before = site.lives()
    fill(stack.engine.data_root)
    site.write(2)
    told = stack("up", "-d", want=1).stderr
    assert "stackr: " in told
    assert _FULL in told
    assert site.lives() == before
    fill(stack.engine.data_root)
    kill_daemon(stack.engine)
    os.kill(before["worker-2"].pid, signal.SIGKILL)
    stack("engine", "start")
    until(lambda: stack.containers()[f"{stack.name}-worker-2"]["ExitCode"] == 137)
    stack("stop", "worker")
    fill(stack.engine.data_root)
    stack("kill", "web")
    stack("rm", "-f", "web")
    kill_daemon(stack.engine)
    ballast = fill(stack.engine.data_root)
    stack("down")
    ballast.unlink()
    assert not [line for line in everything(stack) if not line.startswith("volume ")]
    site.converges("room again")
    assert stack("exec", "-T", "db", "cat", "/data/log").stdout.split() == ["1", "2"]
    stack("down", "-v")
    assert everything(stack) == []


def test_a_log_on_a_full_disk(stack: Stack) -> None:
    """The container goes on, and so does its log."""
    script = "i=0; while :; do i=$$((i+1)); echo $$i; sleep 0.02; done"
    stack.write(f"services: {{talk: {{image: '${{IMAGE}}', command: [sh, -c, '{script}']}}}}")
    stack("up", "-d")
    ballast = fill(stack.engine.data_root)
    (log,) = stack.engine.containers_root.glob("*/container.log")
    sizes: list[int] = []

    def is_stuck() -> bool:
        fill(stack.engine.data_root)
        sizes.append(log.stat().st_size)
        return len(set(sizes[-10:])) == 1 and len(sizes) > 10

    until(is_stuck)
    ballast.unlink()
    until(lambda: log.stat().st_size > sizes[-1])
    assert stack.states() == {"talk-1": "running"}
    numbers = [int(line) for line in stack("logs", "--no-log-prefix", "talk").stdout.split()]
    assert numbers == sorted(numbers)
    stack("down", "-t", "0")
