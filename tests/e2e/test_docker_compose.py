"""Docker Compose v2 on the engine, and beside it on dockerd: up, ps, logs, exec, changes, down."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peer import Peer
from recording_proxy import recording_proxy
from stackr_stack import compose_program, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers]

Compose = Callable[..., subprocess.CompletedProcess[str]]

_STACK = """\
services:
  web:
    image: {image}
    command: sh -c 'cp /data/hello /www/index.html; echo serving; exec httpd -f -p 80 -h /www'
    environment: {{GREETING: "{greeting}"}}
    tmpfs: [/www]
    ports: ["127.0.0.1::80"]
    healthcheck: {{test: "wget -q -O- http://127.0.0.1/", interval: 1s, retries: 60}}
    depends_on: {{db: {{condition: service_healthy}}}}
    networks: [front, back]
    stop_grace_period: 1s
  db:
    image: {image}
    command: sh -c 'date > /kept/ready; exec sleep 1000'
    healthcheck: {{test: test -s /kept/ready, interval: 1s, retries: 60}}
    volumes: ["kept:/kept"]
    networks: {{back: {{aliases: [database]}}}}
    stop_grace_period: 1s
  job:
    image: {image}
    command: sh -c 'echo job done; nslookup database; {linger}'
    volumes: ["kept:/kept"]
    depends_on: {{web: {{condition: service_started}}}}
    networks: [back]
networks: {{front: {{}}, back: {{}}}}
volumes: {{kept: {{}}}}
"""


@pytest.fixture
def argv() -> list[str]:
    """Compose with a project of the test's own."""
    return [compose_program(), "-p", f"c{uuid.uuid4().hex[:8]}", "--ansi", "never"]


@pytest.fixture
def compose(
    argv: list[str], docker_host: dict[str, str], busybox_image: str, tmp_path: Path
) -> Iterator[Compose]:
    _write(tmp_path, busybox_image, "hello")

    def run(*arguments: str, want: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*argv, *arguments],
            cwd=tmp_path,
            env=docker_host,
            capture_output=True,
            text=True,
            timeout=180,
        )
        shown = f"compose {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == want, shown
        return done

    yield run
    run("down", "-v", "-t", "1", "--remove-orphans")


_UNTIL_TOLD = "until test -e /kept/end; do sleep 0.1; done"


def _write(folder: Path, image: str, greeting: str, linger: str = "true") -> None:
    text = _STACK.format(image=image, greeting=greeting, linger=linger)
    (folder / "compose.yaml").write_text(text)


def _services(compose: Compose) -> dict[str, dict[str, str]]:
    lines = compose("ps", "-a", "--format", "json").stdout.splitlines()
    return {service["Service"]: service for service in map(json.loads, lines)}


def test_a_stack_from_up_to_down(
    compose: Compose,
    argv: list[str],
    docker_host: dict[str, str],
    peer: Peer,
    busybox_image: str,
    tmp_path: Path,
) -> None:
    _write(tmp_path, busybox_image, "hello", _UNTIL_TOLD)
    compose("up", "-d", "--wait", "web", "db")
    compose("up", "-d", "--no-recreate")
    services = _services(compose)
    assert services["web"]["Health"] == services["db"]["Health"] == "healthy"
    # `wait` knows only of what runs, so that the end is told once it has asked the engine for it.
    with recording_proxy(tmp_path, peer.socket) as (proxy, seen):
        environ = {**docker_host, "DOCKER_HOST": f"unix://{proxy}"}
        with subprocess.Popen([*argv, "wait", "job"], cwd=tmp_path, env=environ) as waiting:
            until(lambda: any("/wait" in request for request in seen))
            compose("exec", "-T", "db", "touch", "/kept/end")
            assert waiting.wait(60) == 0
    assert "job done" in compose("logs", "job").stdout
    address = compose("port", "web", "80").stdout.strip()
    assert peer.fetch(address) == "hello from the image\n"
    assert compose("exec", "-T", "web", "sh", "-c", "echo $GREETING").stdout == "hello\n"
    compose("exec", "-T", "web", "nslookup", "database")

    before = {name: service["ID"] for name, service in _services(compose).items()}
    _write(tmp_path, busybox_image, "changed")
    compose("up", "-d", "--wait", "web", "db")
    after = {name: service["ID"] for name, service in _services(compose).items()}
    assert before["web"] != after["web"]
    assert before["db"] == after["db"]
    assert compose("exec", "-T", "web", "sh", "-c", "echo $GREETING").stdout == "changed\n"

    compose("stop", "-t", "1")
    assert {service["State"] for service in _services(compose).values()} == {"exited"}
    compose("start")
    compose("down", "-v", "-t", "1")
    assert _services(compose) == {}
    listed = subprocess.run(
        ["docker", "volume", "ls", "-q"],
        env=docker_host,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "kept" not in listed.stdout


def test_up_attached_follows_and_passes_on_an_exit_code(
    compose: Compose,
    argv: list[str],
    docker_host: dict[str, str],
    busybox_image: str,
    tmp_path: Path,
) -> None:
    _write(tmp_path, busybox_image, "hello", f"{_UNTIL_TOLD}; exit 3")
    up = [*argv, "up", "--exit-code-from", "job", "job"]
    output = tmp_path / "output"
    with (
        output.open("w") as shown,
        subprocess.Popen(up, cwd=tmp_path, env=docker_host, stdout=shown) as attached,
    ):
        until(lambda: "job done" in output.read_text())
        compose("exec", "-T", "db", "touch", "/kept/end")
        assert attached.wait(60) == 3


def test_scaling(compose: Compose) -> None:
    compose("up", "-d", "--scale", "db=3", "db")
    assert len(compose("ps", "-q", "db").stdout.split()) == 3
    compose("up", "-d", "--scale", "db=1", "db")
    assert len(compose("ps", "-q", "db").stdout.split()) == 1
