"""Commands and daemons that are killed at any moment: the next command carries on, nothing leaks.

`STACKR_KILLS` is how many rounds there are of each (the default is short), `STACKR_SEED` the seed.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import loopback_registry
import pytest
from interruption import Interrupted, Site, everything
from killed_daemon import kill_daemon
from oci_builder import archive, build, member
from stackr_stack import Stack, free_port, until
from stalling_relay import stalling_relay

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import is_running

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("STACKR_KILLS", "1"))
INTERRUPTED = 130
_NOISE_BYTES = 32 << 20


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
        struck = site.interrupt(dice, *command, strike=lambda it: it.send_signal(number))
        assert struck.returncode in codes, struck
        return struck

    _rounds(site, strike)


def test_up_is_killed_at_many_moments(site: Site, dice: random.Random) -> None:
    """A first one and one that changes everything, in turn."""
    for number in range(12):
        if number % 2:
            site.write(site.version + 1)
        else:
            site.stack("down", "-v")
        struck = site.interrupt(dice, "up", "-d", strike=lambda it: it.kill())
        assert struck.returncode in (0, -signal.SIGKILL), struck
        site.converges(struck.moment)
    site.stack("down", "-v")
    assert everything(site.stack) == []


def test_the_daemon_is_killed_at_any_moment(site: Site, dice: random.Random) -> None:
    """The command that it served says so in a line; the next one starts another daemon."""

    def strike(*command: str) -> Interrupted:
        struck = site.interrupt(dice, *command, strike=lambda _: kill_daemon(site.stack.engine))
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
    kill_daemon(site.stack.engine)
    for _ in range(20):
        assert site.answer() == "1"
        assert _within(before["worker-1"].pid, "nslookup", "web") == 0
        assert _within(before["worker-1"].pid, "nc", "-w", "30", "web", "80") == 0
        assert _within(before["web-1"].pid, "nc", "-w", "30", "database", "6379") != 0
        assert _within(before["web-1"].pid, "nc", "-w", "30", "cache", "6379") == 0
    assert not is_running(config), "nothing of the above has started a daemon"
    site.converges("the daemon's death")
    assert site.lives() == before
    site.stack("down", "-v")
    assert everything(site.stack) == []


def test_what_ends_while_no_daemon_runs(
    tmp_path: Path, new_engine: Callable[[], EngineConfig], busybox_image: str
) -> None:
    """Its exit code and its last words are known, and its restart policy is followed."""
    stack = Stack(tmp_path, new_engine())
    stack.write(
        f"""\
        x-service: &service
          image: '{busybox_image}'
          init: true
          stop_grace_period: 0s
          volumes: ["./go:/go"]
        services:
          once:
            <<: *service
            command: sh -c "until [ -e /go/now ]; do sleep 0.1; done; echo bye; exit 7"
          again: {{<<: *service, command: sh -c "echo up; sleep 1000", restart: always}}
          retry:
            <<: *service
            command: sh -c "until [ -e /go/now ]; do sleep 0.1; done; echo try; exit 3"
            restart: on-failure:1
        """
    )
    (tmp_path / "go").mkdir()
    stack("up", "-d")
    lives = Site(stack, 0).lives()
    assert sorted(lives) == ["again-1", "once-1", "retry-1"]
    until(lambda: stack("logs", "--no-log-prefix", "again").stdout == "up\n")
    with contextlib.ExitStack() as opened:
        processes = {name: os.pidfd_open(life.pid) for name, life in lives.items()}
        for process in processes.values():
            opened.callback(os.close, process)
        kill_daemon(stack.engine)
        (tmp_path / "go" / "now").touch()
        signal.pidfd_send_signal(processes["again-1"], signal.SIGKILL)
        until(lambda: all(map(_has_ended, processes.values())), "the containers' end")
    assert not is_running(stack.engine)
    stack("engine", "start")
    wanted = {"again-1": "running", "once-1": "exited", "retry-1": "exited"}
    until(lambda: stack.states() == wanted, "what the policies say")
    codes = {c["Service"]: c["ExitCode"] for c in stack.containers().values()}
    assert codes == {"again": 0, "once": 7, "retry": 3}

    def told() -> dict[str, list[str]]:
        return {name: stack("logs", "--no-log-prefix", name).stdout.split() for name in codes}

    wanted_words = {"again": ["up", "up"], "once": ["bye"], "retry": ["try", "try"]}
    until(lambda: told() == wanted_words, f"{wanted_words} in their logs")
    stack("down")


def _has_ended(process: int) -> bool:
    """process: a descriptor of it, as its number may be another one's then."""
    return bool(select.select([process], [], [], 0)[0])


def test_a_registry_is_killed_in_the_middle_of_a_pull(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    server = loopback_registry.configure(folder)
    image = build(archive(member("noise", os.urandom(_NOISE_BYTES))))
    with stalling_relay(server, passes=_NOISE_BYTES // 4) as relay:
        reference = f"{relay.address}/big:latest"
        stack.write(f"services: {{app: {{image: '{reference}', command: /noise}}}}")
        with loopback_registry.run(folder, server) as registry:
            loopback_registry.push(image, f"{server}/big:latest", folder / "layout")
            with stack.start("pull") as pull:
                assert relay.stalled.wait(60), "the layer's first bytes"
                registry.kill()
                registry.wait()
                relay.server_is_gone()
                _, told = pull.communicate(timeout=60)
        assert pull.returncode == 1
        assert "Traceback" not in told
        assert relay.address in told
        with loopback_registry.run(folder, server):
            stack("pull")
    stack("create", "--pull", "never")
    stack("down", "--rmi", "all")


def _within(pid: int, *argv: str) -> int:
    """Run a program of the container in its namespaces; the exit code."""
    command = ["nsenter", "-m", "-n", "-r", "-t", str(pid), *argv]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode
