"""Commands and daemons that are killed at any moment: the next command carries on, nothing leaks.

`STACKR_KILLS` is how many rounds there are of each (the default is short), `STACKR_SEED` the seed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from interruption import Interrupted, Site, everything
from stackr_stack import Stack, free_port, until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import is_running
from stackr.runtime.engine.lock import holder

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("STACKR_KILLS", "3"))
INTERRUPTED = 130


@pytest.fixture
def site(tmp_path: Path, new_engine: Callable[[], EngineConfig], busybox_image: str) -> Site:
    """The realistic stack, on an engine of this test alone."""
    stack = Stack(tmp_path, new_engine())
    stack.environ["IMAGE"] = busybox_image
    site = Site(stack, free_port())
    site.write(1)
    return site


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_command_ends_at_any_moment(
    site: Site, dice: random.Random, number: signal.Signals
) -> None:
    codes = (0, -signal.SIGKILL if number is signal.SIGKILL else INTERRUPTED)

    def strike(*command: str) -> Interrupted:
        struck = site.interrupt(dice, *command, strike=lambda pid: os.kill(pid, number))
        assert struck.returncode in codes, struck
        return struck

    _rounds(site, strike)


def test_the_daemon_is_killed_at_any_moment(site: Site, dice: random.Random) -> None:
    """The command that it served says so in a line; the next one starts another daemon."""

    def kill_daemon(_: int) -> None:
        if (pid := holder(site.stack.engine.data_root)) is not None:
            os.kill(pid, signal.SIGKILL)

    def strike(*command: str) -> Interrupted:
        struck = site.interrupt(dice, *command, strike=kill_daemon)
        assert struck.returncode in (0, 1), struck
        assert not struck.returncode or "stackr: " in struck.err, struck
        return struck

    _rounds(site, strike)


def _rounds(site: Site, strike: Callable[..., Interrupted]) -> None:
    """A pull, a first `up`, one that changes everything, and a `down`: each is cut off."""
    for _ in range(ROUNDS):
        site.stack("down", "-v", "--rmi", "all")
        struck = strike("pull")
        site.converges(struck.moment)
        site.stack("down", "-v")
        struck = strike("up", "-d")
        site.converges(struck.moment)
        site.write(site.version + 1)
        struck = strike("up", "-d")
        site.converges(struck.moment)
        struck = strike("down", "-v")
        site.stack("down", "-v")
        assert everything(site.stack) == [], struck


def test_a_site_is_served_while_no_daemon_runs(site: Site) -> None:
    """Its published port, traffic between its containers, their names; then all is taken over."""
    site.stack("up", "-d", "--wait")
    before = site.lives()
    config = site.stack.engine
    pid = holder(config.data_root)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(config))
    for _ in range(20):
        assert site.answer() == "1"
        assert _within(before["worker-1"].pid, "nslookup", "web") == 0
        assert _within(before["worker-1"].pid, "nc", "-w", "5", "web", "80") == 0
        assert _within(before["web-1"].pid, "nc", "-w", "5", "database", "6379") != 0
        assert _within(before["web-1"].pid, "nc", "-w", "5", "cache", "6379") == 0
    assert not is_running(config), "nothing of the above has started a daemon"
    site.converges("the daemon's death")
    assert site.lives() == before
    site.stack("down", "-v")
    assert everything(site.stack) == []


def _within(pid: int, *argv: str) -> int:
    """Run a program of the container in its namespaces; the exit code."""
    command = ["nsenter", "-m", "-n", "-r", "-t", str(pid), *argv]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode
