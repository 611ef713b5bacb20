"""`deploy.update_config`: replicas replaced one after the other, and no request lost meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stackr_stack import Stack, free_port, until

CHECKOUT = Path(__file__).resolve().parents[2]
UNDONE = 4

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

SERVER = """\
    services:
      web:
        image: ${{IMAGE}}
        command: sh -c 'mkdir /www; echo $$VERSION >/www/index.html; {command}'
        init: true
        stop_grace_period: 1s
        environment: {{VERSION: "{version}"}}
        {ports}
        healthcheck:
          test: wget -q -O- http://127.0.0.1/ && touch /probed
          interval: 100ms
          retries: {retries}
        deploy:
          replicas: {replicas}
          update_config: {{{update}}}
    """
GOOD = "exec httpd -f -h /www"
BAD = "echo it does not listen; exec sleep 1000"


def write(
    stack: Stack,
    version: str,
    update: str,
    *,
    command: str = GOOD,
    replicas: int = 1,
    port: int | None = None,
) -> None:
    ports = f'ports: ["127.0.0.1:{port}:80"]' if port else ""
    stack.write(
        SERVER.format(
            version=version,
            update=update,
            command=command,
            replicas=replicas,
            ports=ports,
            retries=10 if command == BAD else 10_000,
        )
    )


def versions(stack: Stack) -> list[str]:
    """What each replica runs, by number."""
    indexes = [name.rpartition("-")[2] for name in sorted(stack.containers())]
    shell = ("web", "sh", "-c", "echo $VERSION")
    return [stack("exec", "-T", "--index", each, *shell).stdout.strip() for each in indexes]


def served(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    finally:
        connection.close()


def actions(stack: Stack) -> list[str]:
    """The operations of the next `up`, as `action name`."""
    plan = json.loads(stack("diff", "--format", "json").stdout)
    return [f"{o['action']} {o['resource']['name']}" for o in plan["operations"]]


def test_the_port_moves_once_the_new_one_is_ready(stack: Stack) -> None:
    port = free_port()
    write(stack, "1", "order: start-first", port=port)
    stack("up", "-d", "--wait")
    before = stack.ids()
    write(stack, "2", "order: start-first", port=port)
    stack("up", "-d")
    assert served(port) == "2"
    assert stack.states() == {"web-1": "running"}
    assert stack.ids() != before
    stack("diff", "--exit-code")
    stack("up", "-d")
    stack("restart", "-t", "0")
    until(lambda: stack.containers()[f"{stack.name}-web-1"]["Health"] == "healthy")
    assert served(port) == "2"


def test_a_new_one_that_is_never_ready_takes_nothing_over(stack: Stack) -> None:
    port = free_port()
    write(stack, "1", "order: start-first", port=port)
    stack("up", "-d", "--wait")
    before = stack.ids()
    write(stack, "2", "order: start-first, failure_action: pause", command=BAD, port=port)
    told = stack("up", "-d", want=1).stderr
    assert 'the update of service "web" stops here: ' in told
    assert "it does not listen" in told
    assert served(port) == "1"
    assert stack.ids()[f"{stack.name}-web-1"] == before[f"{stack.name}-web-1"]
    write(stack, "3", "order: start-first", port=port)
    stack("up", "-d")
    assert served(port) == "3"
    assert stack.states() == {"web-1": "running"}


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_a_failed_update_is_rolled_back(stack: Stack, order: str) -> None:
    write(stack, "1", f"order: {order}", replicas=3)
    stack("up", "-d", "--wait")
    before = stack.ids()
    write(stack, "2", f"order: {order}, failure_action: rollback", command=BAD, replicas=3)
    told = stack("up", "-d", want=UNDONE).stderr
    assert "rolling web back to revision 1" in told
    assert versions(stack) == ["1", "1", "1"]
    assert set(stack.states().values()) == {"running"}
    after = stack.ids()
    changed = [name for name in before if before[name] != after[name]]
    assert len(changed) == (0 if order == "start-first" else 1)
    history = json.loads(stack("history", "--format", "json").stdout)
    assert [revision["status"] for revision in history] == ["rolled back", "applied"]
    write(stack, "1", f"order: {order}", replicas=3)
    stack("diff", "--exit-code")


def test_parallelism_delay_and_tolerated_failures(stack: Stack) -> None:
    """Two at a time, and what fails in a third of them is no failure of the whole."""
    write(stack, "1", "parallelism: 2", replicas=3)
    stack("up", "-d", "--wait")
    rules = "parallelism: 2, delay: 500ms, monitor: 200ms, max_failure_ratio: 0.4"
    fails = f'test "$$(cat /etc/hostname)" = never || {GOOD}'
    write(stack, "2", rules, command=fails, replicas=3)
    planned = actions(stack)
    assert planned.count("check update web") == 2
    assert planned.count("delay web") == 1
    assert planned.index("delay web") < planned.index(f"stop container {stack.name}-web-3")
    start = time.monotonic()
    stack("up", "-d")
    assert time.monotonic() - start > 0.9, "a delay and two times of monitoring"
    assert versions(stack) == ["2", "2", "2"]


def test_a_container_that_ends_while_it_is_monitored(stack: Stack) -> None:
    write(stack, "1", "order: start-first", replicas=2)
    stack("up", "-d", "--wait")
    rules = "order: start-first, monitor: 60s, failure_action: pause"
    ends = "httpd -h /www; until [ -e /probed ]; do sleep 0.1; done; sleep 5; exit 3"
    write(stack, "2", rules, command=ends, replicas=2)
    told = stack("up", "-d", want=1).stderr
    assert "it exited (3) while it was monitored" in told
    assert versions(stack)[-1] == "1"


def test_killed_in_the_midst_of_an_update(stack: Stack) -> None:
    """Wherever the CLI is killed, the site answers, and the next `up` ends what was begun."""
    port = free_port()
    write(stack, "0", "order: start-first", port=port)
    stack("up", "-d", "--wait")
    for turn in range(1, 7):
        write(stack, str(turn), "order: start-first, monitor: 300ms", port=port)
        process = stack.start("up", "-d", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.25 * turn)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert served(port) in (str(turn - 1), str(turn))
        stack("up", "-d", "--wait")
        assert served(port) == str(turn)
        assert stack.states() == {"web-1": "running"}
        stack("diff", "--exit-code")


@pytest.fixture(scope="module")
def nginx() -> Iterator[str]:
    """A real nginx from Debian's packages, in a registry on loopback; its reference."""
    with tempfile.TemporaryDirectory(prefix="stackr-registry-") as folder:
        environ = {**os.environ, "STACKR_REGISTRY_RUN": f"{folder}/run"}

        def images(*arguments: str) -> str:
            return subprocess.run(
                [CHECKOUT / "scripts/images", *arguments],
                env=environ,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout.strip()

        try:
            yield f"{images('nginx')}/nginx:latest"
        finally:
            images("stop")


NGINX = """\
    services:
      web:
        image: {image}
        environment: {{VERSION: "{version}"}}
        ports: ["127.0.0.1:{port}:80"]
        stop_grace_period: 5s
        healthcheck:
          test: ["CMD", "bash", "-c", ": >/dev/tcp/127.0.0.1/80"]
          interval: 200ms
          retries: 10000
        deploy:
          update_config: {{order: start-first, monitor: 1s}}
    """


@pytest.mark.timeout(600)
def test_no_request_fails_through_an_update_of_nginx(stack: Stack, nginx: str) -> None:
    port = free_port()

    def write_version(version: int) -> None:
        stack.write(NGINX.format(image=nginx, version=version, port=port))

    write_version(0)
    stack("up", "-d", "--wait")
    begun = time.monotonic()
    load = subprocess.Popen(
        [
            *("wrk", "-t1", "-c8", "-d600s", "--timeout", "60s", "-H", "Connection: close"),
            f"http://127.0.0.1:{port}/",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for version in (1, 2, 3):
            write_version(version)
            stack("up", "-d")
        time.sleep(max(0, 20 - (time.monotonic() - begun)))
        assert load.poll() is None, "the load lasts"
        load.send_signal(signal.SIGINT)  # it tells what there was
        said = load.communicate(timeout=60)[0]
    finally:
        load.kill()
        load.wait()
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    assert requests >= 2000, said
    assert "Socket errors" not in said, said
    assert "Non-2xx" not in said, said
