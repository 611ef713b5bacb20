"""Init containers, on both engines: order, failure, how it goes on, and that nothing is left."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import private_dockerd
import pytest
from stackr_stack import Stack, until

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

FILE = """\
    x-service: &service
      image: ${IMAGE}
      command: sleep 1000
      stop_grace_period: 0s
    services:
      db:
        <<: *service
      app:
        <<: *service
        command: sh -c "cat /data/log; sleep 1000"
        environment: {NAME: app}
        depends_on: [db]
        volumes: ["data:/data"]
        pre_start:
          - command: sh -c 'nslookup db && echo "first $$NAME" >>/data/log && chmod 666 /data/log'
          - command: sh -c 'echo "each $$(id -u)" >>/data/log'
            user: "12"
            per_replica: true
          - command: sh -c '[ -e /data/ok ] || { echo no luck >&2; exit 3; }; echo $$I >>/data/log'
            environment: {I: second}
      prepare:
        <<: *service
        volumes: ["data:/data"]
      edge:
        <<: *service
        depends_on: [app]
    volumes: {data: {}}
    """


@pytest.fixture(params=["embedded", "docker"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A stack on stackr's engine, and on a dockerd; nothing of it may be left."""
    if request.param == "embedded":
        yield request.getfixturevalue("stack")
        return
    with private_dockerd.serve() as socket:
        private_dockerd.load_image(socket, "suite/busybox:latest")
        stack = Stack(tmp_path, EngineConfig.at(tmp_path / "none", tmp_path / "none"))
        stack.environ |= {"IMAGE": "suite/busybox:latest", "STACKR_ENGINE": f"unix://{socket}"}
        yield stack
        stack("down", "-v", "-t", "0")


def test_a_service_starts_once_its_steps_have_succeeded(either: Stack) -> None:
    either.write(FILE)
    either("up", "-d", "prepare")
    failed = either("up", "-d", want=1).stderr
    assert "pre_start[2] exited with code 3" in failed
    assert "no luck" in failed
    assert "compose.yaml:19: services.app.pre_start[2]" in failed
    shown = either("ps", "-a", "--format", "{{.Name}} {{.State}}").stdout
    assert f"{either.name}-app-1 created" in shown
    assert f"{either.name}-edge-1 created" in shown
    assert f"{either.name}-app-pre_start.2 exited" in shown

    either("exec", "-T", "prepare", "touch", "/data/ok")
    planned = either("diff", "--exit-code", want=2).stdout
    assert f"{either.name}-app-pre_start.2" in planned
    assert f"{either.name}-app-pre_start.0" not in planned.replace("remove", "")
    either("up", "-d")
    log = ["first app", "each 12", "second"]
    until(lambda: either("logs", "--no-log-prefix", "app").stdout.splitlines() == log)
    assert "pre_start" not in either("ps", "-a").stdout

    either("restart", "app")
    either("up", "-d", "--force-recreate", "--no-deps", "app")
    again = either("exec", "-T", "prepare", "cat", "/data/log").stdout.splitlines()
    assert again == [*log, *log]


STEP = """\
    services:
      app:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        volumes: ["data:/data"]
        pre_start:
          - command: sh -c 'echo one >>/data/log'
          - command: sh -c 'echo two >>/data/log; until [ -e /data/go ]; do sleep 0.05; done'
      helper:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        volumes: ["data:/data"]
    volumes: {data: {}}
    """


def log_of(stack: Stack) -> list[str]:
    return stack("exec", "-T", "helper", "cat", "/data/log", want=None).stdout.split()


def under_way(stack: Stack) -> subprocess.Popen[str]:
    """An `up`, in a process of its own, of which the second step is running."""
    stack.write(STEP)
    stack("up", "-d", "helper")
    stack.environ["STACKR_WARM"] = "0"
    process = stack.start("up", "-d", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    del stack.environ["STACKR_WARM"]
    until(lambda: log_of(stack)[-1:] == ["two"])
    return process


def test_after_the_clients_end_the_next_up_waits_for_the_same_step(stack: Stack) -> None:
    process = under_way(stack)
    process.kill()
    process.wait()
    assert "it runs already" in stack("diff").stdout
    stack("exec", "-T", "helper", "touch", "/data/go")
    stack("up", "-d")
    assert log_of(stack) == ["one", "two"]
    assert set(stack.states()) == {"app-1", "helper-1"}


def test_an_interrupted_step_goes_and_the_next_up_runs_it_again(stack: Stack) -> None:
    process = under_way(stack)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert f"{stack.name}-app-pre_start.1" not in stack.containers()
    stack("exec", "-T", "helper", "touch", "/data/go")
    stack("up", "-d")
    assert log_of(stack) == ["one", "two", "two"]
    assert set(stack.states()) == {"app-1", "helper-1"}
