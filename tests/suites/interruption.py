"""A realistic stack, random moments at which its commands are interrupted, and what must hold then.

A moment is a number of progress events that a command has told, and a short while after: so all
its steps are met, however fast the machine is. `dice` (tests/conftest.py) makes it repeatable.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from stackr_stack import Stack, until

__all__ = ["Interrupted", "Life", "Site", "everything"]

_STEP_S = 0.1  # about as long as an operation takes
_START_S = 0.5  # about as long as a command takes before its first event
_DEADLINE_S = 60
_PULL_EVENTS = 12

_STACK = """\
    x-service: &service
      image: ${{IMAGE}}
      init: true
      stop_grace_period: 0s
      environment: {{VERSION: "{version}"}}
    services:
      db:
        <<: *service
        command: sh -c "echo {version} >>/data/log; sleep 0.2; touch /tmp/ready; sleep 1000"
        healthcheck: {{test: test -e /tmp/ready, interval: 100ms, retries: 300}}
        networks: {{back: {{aliases: [database]}}}}
        volumes: ["data:/data"]
      cache:
        <<: *service
        command: nc -ll -p 6379 -e cat
        healthcheck: {{test: nc 127.0.0.1 6379 </dev/null, interval: 100ms, retries: 300}}
        networks: [back]
        tmpfs: [/scratch]
      migrate:
        <<: *service
        command: sh -c "nslookup database >/data/migrated"
        depends_on: {{db: {{condition: service_healthy}}}}
        networks: [back]
        volumes: ["data:/data"]
      web:
        <<: *service
        command: httpd -f -h /www
        depends_on:
          cache: {{condition: service_healthy}}
          migrate: {{condition: service_completed_successfully}}
        healthcheck: {{test: "wget -q -O- http://127.0.0.1/", interval: 100ms, retries: 300}}
        networks: [front, back]
        ports: ["127.0.0.1:{port}:80"]
        configs: [{{source: page, target: /www/index.html}}]
      worker:
        <<: *service
        command: sleep 1000
        depends_on: {{web: {{condition: service_healthy}}}}
        networks: [front]
        scale: 2
    networks:
      front:
      back: {{internal: true}}
    volumes:
      data:
    configs:
      page: {{content: "{version}"}}
    """
_STATES = {
    "cache-1": "running",
    "db-1": "running",
    "migrate-1": "exited",
    "web-1": "running",
    "worker-1": "running",
    "worker-2": "running",
}


@dataclass(frozen=True, slots=True)
class Interrupted:
    """How a command ended that was interrupted. moment: says when, for a test's message."""

    moment: str
    returncode: int
    err: str


@dataclass(frozen=True, slots=True)
class Life:
    """One run of a container."""

    pid: int
    started_at: str


@dataclass(slots=True)
class Site:
    """The stack, at one version of its file; a version differs in every service."""

    stack: Stack
    port: int
    version: int = 1

    def write(self, version: int) -> None:
        self.version = version
        self.stack.write(_STACK.format(version=version, port=self.port))

    def interrupt(
        self, dice: random.Random, *command: str, strike: Callable[[subprocess.Popen[str]], None]
    ) -> Interrupted:
        """Run a command, and `strike` (given its process) at a random one of its events."""
        events, wait_s = dice.randrange(self._events(*command)), dice.random()
        wait_s *= _STEP_S if events else _START_S
        moment = f"{' '.join(command)}: {wait_s:.3f} s after event {events}"
        with self.stack.start("--json", *command) as process:
            assert process.stdout is not None
            for _ in range(events):
                if not process.stdout.readline():
                    break
            until(lambda: process.poll() is not None or _handles_signals(process.pid))
            time.sleep(wait_s)
            strike(process)
            _, err = process.communicate(timeout=_DEADLINE_S)
        assert "Traceback" not in err, f"{moment}: {err}"
        assert "internal error" not in err, f"{moment}: {err}"
        return Interrupted(moment, process.returncode, err)

    def _events(self, *command: str) -> int:
        """How many events it will tell, about: each operation starts and ends."""
        if command[0] == "pull":
            return _PULL_EVENTS
        dry = self.stack("--dry-run", "--json", *command).stdout
        return 2 * len(json.loads(dry)["operations"]) + 2

    def converges(self, after: str) -> None:
        """One more `up` is enough, and all is as the file says; after: what happened before."""
        self.stack("up", "-d", "--wait")
        diff = self.stack("diff", "--exit-code", want=None)
        assert diff.returncode == 0, f"{after}: {diff.stdout}{diff.stderr}"
        assert self.stack.states() == _STATES, after
        told = self.stack.containers().values()
        healths = {c["Service"]: c["Health"] for c in told if c["Health"]}
        assert healths == dict.fromkeys(("cache", "db", "web"), "healthy"), after
        assert self.answer() == str(self.version), after

    def answer(self) -> str:
        """What the published port says."""
        url = f"http://127.0.0.1:{self.port}/"
        with urllib.request.urlopen(url, timeout=30) as reply:
            return str(reply.read().decode())

    def lives(self) -> dict[str, Life]:
        """Of the containers that run, by service and number."""
        client: Any = docker.DockerClient(base_url=f"unix://{self.stack.engine.socket}", timeout=60)
        try:
            found = {c.name: c.attrs["State"] for c in client.containers.list()}
        finally:
            client.close()
        prefix = f"{self.stack.name}-"
        return {
            name.removeprefix(prefix): Life(state["Pid"], state["StartedAt"])
            for name, state in found.items()
        }


def _handles_signals(pid: int) -> bool:
    """Whether the command itself runs: while Python starts, it ends a process as it likes."""
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def everything(stack: Stack) -> list[str]:
    """One line for each object that the engine holds, but images and predefined networks."""
    client: Any = docker.DockerClient(base_url=f"unix://{stack.engine.socket}", timeout=60)
    try:
        found = [f"container {c.name}" for c in client.containers.list(all=True)]
        found += [f"volume {v.name}" for v in client.volumes.list()]
        names = {n.name for n in client.networks.list()}
        return found + [f"network {name}" for name in names - {"bridge", "host", "none"}]
    finally:
        client.close()
