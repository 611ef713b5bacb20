"""Leases of a real engine: what ends them, what goes with them, and what a killed daemon leaves."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import docker
import lease_owner
import pytest
from engine_request import request
from killed_daemon import kill_daemon
from polling import until

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running
from stackr.runtime.engine.network.reservations import preferred_port

pytestmark = pytest.mark.root

_DEADLINE_S = 60.0
_PROJECT = "com.docker.compose.project"
_SERVER = """\
trap '' TERM
mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www
while :; do sleep 100; done
"""
_ECHO = """\
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
while True: server.sendto(*server.recvfrom(100))
"""


class World:
    """One engine with the test image, and what a test does with it."""

    def __init__(self, config: EngineConfig, image: str) -> None:
        self.config = config
        self.image = image
        self.client = docker.DockerClient(base_url=f"unix://{config.socket}", timeout=60)
        self.client.images.pull(image.rpartition(":")[0], tag="latest")
        self.owners: list[subprocess.Popen[str]] = []

    def call(self, method: str, path: str = "", body: object = None) -> tuple[int, Any]:
        return request(self.config.socket, method, f"/stackr/v1/leases{path}", body)

    def lease(self, **body: object) -> dict[str, Any]:
        status, answer = self.call("POST", body={"project": _name(), "watch_owner": False, **body})
        assert status == 201, answer
        assert isinstance(answer, dict)
        return answer

    def owned(self, **body: object) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """A lease of another process, and that process."""
        argv = [sys.executable, lease_owner.__file__, str(self.config.socket)]
        owner = subprocess.Popen(
            [*argv, json.dumps({"project": _name(), **body})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.owners.append(owner)
        assert owner.stdout is not None
        told = json.loads(owner.stdout.readline())
        assert told["status"] == 201, told
        return owner, told["answer"]

    def fill(self, project: str, ports: dict[str, Any] | None = None) -> Any:
        """A container that ignores SIGTERM, with volumes, in a network of the project's own.

        It answers HTTP at port 80.
        """
        labels = {_PROJECT: project}
        self.client.networks.create(f"{project}_net", labels=labels)
        self.client.volumes.create(f"{project}_data", labels=labels)
        return self.client.containers.run(
            self.image,
            ["sh", "-c", _SERVER],
            detach=True,
            labels=labels,
            network=f"{project}_net",
            volumes={f"{project}_data": {"bind": "/data"}, "/anonymous": {"bind": "/data2"}},
            ports=ports or {},
        )

    def echo(self, container: Any) -> None:
        """Echo UDP at port 53 of a running container, which has no program that does."""
        container.reload()
        network = f"--net=/proc/{container.attrs['State']['Pid']}/ns/net"
        argv = ["nsenter", network, sys.executable, "-c", _ECHO]
        self.owners.append(subprocess.Popen(argv, stdin=subprocess.PIPE, text=True))

    def left(self, project: str) -> list[str]:
        filters = {"label": f"{_PROJECT}={project}"}
        containers = self.client.containers.list(all=True, filters=filters, ignore_removed=True)
        return [
            *(c.name for c in containers),
            *(n.name for n in self.client.networks.list(filters=filters)),
            *(v.name for v in self.client.volumes.list(filters=filters)),
        ]

    def kill_daemon(self) -> None:
        kill_daemon(self.config)

    def close(self) -> None:
        for owner in self.owners:
            owner.kill()
            owner.communicate()
        self.client.close()


def _name() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def world(new_engine: Callable[[], EngineConfig], busybox_image: str) -> Iterator[World]:
    made = World(new_engine(), busybox_image)
    yield made
    made.close()


def test_the_end_of_the_owner_ends_all(world: World) -> None:
    owner, lease = world.owned(volumes=True)
    other, kept = world.owned(volumes=True)
    for each in (lease, kept):
        world.fill(each["project"])
    assert lease["owner"] == {"pid": owner.pid}
    assert [each["id"] for each in world.call("GET")[1]] == [lease["id"], kept["id"]]
    owner.kill()
    until(lambda: not world.left(lease["project"]))
    assert len(world.left(kept["project"])) == 3
    until(lambda: [each["id"] for each in world.call("GET")[1]] == [kept["id"]])
    assert owner.wait() == -signal.SIGKILL
    other.communicate()
    until(lambda: not world.left(kept["project"]))
    until(lambda: not world.client.volumes.list())


def test_its_time_ends_it_and_renewal_prolongs(world: World) -> None:
    short = world.lease(volumes=True)
    ttl_s = 1
    while True:  # what is renewed too late, by a machine that is slow, has ended
        renewed = world.lease(ttl_s=3600)
        world.fill(renewed["project"])
        assert world.call("POST", f"/{renewed['id']}/renew", {"ttl_s": ttl_s})[0] == 200
        if world.call("POST", f"/{renewed['id']}/renew", {"ttl_s": 3600})[0] == 200:
            break
        assert ttl_s < _DEADLINE_S
        ttl_s *= 2
    world.fill(short["project"])
    status, answer = world.call("POST", f"/{short['id']}/renew", {"ttl_s": 0.5})
    assert status == 200
    assert answer["expires"] < world.call("GET", f"/{renewed['id']}")[1]["expires"]
    until(lambda: not world.left(short["project"]))
    time.sleep(ttl_s)
    assert len(world.left(renewed["project"])) == 3
    assert world.call("POST", f"/{renewed['id']}/renew", {"ttl_s": 0.1})[0] == 200
    until(lambda: world.left(renewed["project"]) == [f"{renewed['project']}_data"])
    world.client.volumes.get(f"{renewed['project']}_data").remove()


def test_deleting_it_removes_all_at_once(world: World) -> None:
    lease = world.lease(volumes=True)
    project = lease["project"]
    before = world.client.volumes.create(_name())
    world.fill(project)
    foreign = world.client.containers.run(
        world.image, ["sleep", "100"], detach=True, network=f"{project}_net"
    )
    since = time.time()
    status, answer = world.call("DELETE", f"/{lease['id']}")
    assert (status, answer) == (200, {"containers": 1, "networks": 1, "volumes": 1})
    filters = {"event": ["kill"], "label": [f"{_PROJECT}={project}"]}
    kills = world.client.events(since=since, until=time.time(), filters=filters, decode=True)
    assert [event["Actor"]["Attributes"]["signal"] for event in kills] == ["9"]
    assert world.left(project) == []
    assert world.call("GET", f"/{lease['id']}")[0] == 404
    assert world.call("DELETE", f"/{lease['id']}")[0] == 404
    foreign.reload()
    assert foreign.status == "running"
    assert [volume.name for volume in world.client.volumes.list()] == [before.name]
    foreign.remove(force=True)
    before.remove()


def test_volumes_that_were_there_before_stay(world: World) -> None:
    project = _name()
    older = world.client.volumes.create(f"{project}_older", labels={_PROJECT: project})
    lease = world.lease(project=project, volumes=True)
    world.fill(project)
    assert world.call("DELETE", f"/{lease['id']}")[1]["volumes"] == 1
    assert world.left(project) == [older.name]
    older.remove()


def test_a_lease_of_nobody_is_over_with_the_last_container(world: World) -> None:
    """So that it does not end what is made later under the same name."""
    project = _name()
    lease = world.lease(project=project, ttl_s=3600, volumes=True)
    containers = [world.fill(project)]
    containers.append(
        world.client.containers.create(world.image, ["true"], labels={_PROJECT: project})
    )
    owner, owned = world.owned(volumes=True)
    containers.append(world.fill(owned["project"]))
    containers[0].remove(force=True)
    assert world.call("GET", f"/{lease['id']}")[0] == 200
    for container in containers[1:]:
        container.remove(force=True)
    until(lambda: world.call("GET", f"/{lease['id']}")[0] == 404)
    assert [each["id"] for each in world.call("GET")[1]] == [owned["id"]]
    assert len(world.left(project)) == 2
    owner.kill()
    until(lambda: not world.left(owned["project"]))
    world.lease(project=project)
    world.client.networks.get(f"{project}_net").remove()
    world.client.volumes.get(f"{project}_data").remove()


def test_a_lease_can_be_given_up_and_disowned(world: World) -> None:
    _, given_up = world.owned(volumes=True)
    _, disowned = world.owned(volumes=True)
    for lease in (given_up, disowned):
        world.fill(lease["project"])
    assert world.call("DELETE", f"/{given_up['id']}?keep=1") == (204, None)
    assert world.call("POST", f"/{disowned['id']}/disown")[1]["owner"] is None
    for process in world.owners:
        process.kill()
        process.wait()
    time.sleep(0.5)
    assert len(world.left(given_up["project"])) == 3
    assert len(world.left(disowned["project"])) == 3
    assert world.call("DELETE", f"/{disowned['id']}")[0] == 200
    lease = world.lease(project=given_up["project"], volumes=True)
    assert world.call("DELETE", f"/{lease['id']}")[1]["containers"] == 1
    world.client.volumes.get(f"{given_up['project']}_data").remove()  # older than that lease


@pytest.mark.parametrize("daemon_first", [True, False])
def test_a_killed_daemon_settles_at_its_next_start(world: World, daemon_first: bool) -> None:
    owner, lease = world.owned(volumes=True)
    _, kept = world.owned(volumes=True, ports=[{"service": "web", "container_port": 80}])
    expired = world.lease(volumes=True)
    for each in (lease, kept, expired):
        world.fill(each["project"])
    assert world.call("POST", f"/{expired['id']}/renew", {"ttl_s": 1})[0] == 200
    if daemon_first:
        world.kill_daemon()
        owner.kill()
        owner.wait()
    else:
        owner.kill()
        world.kill_daemon()
        owner.wait()
    time.sleep(1)
    ensure_running(world.config)
    until(lambda: not world.left(lease["project"]) and not world.left(expired["project"]))
    until(lambda: [each["id"] for each in world.call("GET")[1]] == [kept["id"]])
    assert world.call("GET", f"/{kept['id']}")[1] == kept
    assert len(world.left(kept["project"])) == 3
    world.owners[1].kill()
    until(lambda: not world.left(kept["project"]))


def test_a_stopped_daemon_keeps_leases(world: World) -> None:
    _, lease = world.owned()
    control.stop(world.config, timeout_s=_DEADLINE_S)
    ensure_running(world.config)
    assert world.call("GET")[1] == [lease]


def _answers(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), timeout=_DEADLINE_S) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"hello" in b"".join(iter(lambda: connection.recv(1000), b""))
    except OSError:
        return False


def _answers_udp(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"hello", ("127.0.0.1", port))
        try:
            return client.recv(10) == b"hello"
        except OSError:
            return False


def _stack_with_free_ports(config: EngineConfig) -> tuple[str, list[int]]:
    """And the host ports that its first instance prefers for the container's ports 80 and 53."""
    while True:
        name = _name()
        keys = (f"{name}/0/web/1/{port}" for port in ("80/tcp", "53/udp"))
        ports = [preferred_port(config.published_port_range, key) for key in keys]
        with suppress(OSError), ExitStack() as probes:
            for port, kind in zip(ports, (socket.SOCK_STREAM, socket.SOCK_DGRAM), strict=True):
                probes.enter_context(socket.socket(type=kind)).bind(("0.0.0.0", port))
            return name, ports


def test_leased_ports_are_the_containers_when_it_wants_them(world: World) -> None:
    wanted = [
        {"service": "web", "number": 1, "container_port": 80},
        {"service": "web", "number": 1, "container_port": 53, "protocol": "udp"},
    ]
    stack, preferred = _stack_with_free_ports(world.config)
    lease = world.lease(stack=stack, ports=wanted, volumes=True)
    second = world.lease(stack=stack, ports=wanted)
    assert (lease["instance"], second["instance"]) == (0, 1)
    tcp, udp = preferred
    assert [port["host_port"] for port in lease["ports"]] == preferred
    first, last = world.config.published_port_range
    numbers = {port["host_port"] for port in (*lease["ports"], *second["ports"])}
    assert all(first <= number <= last for number in numbers)
    assert not _answers(tcp)
    with pytest.raises(OSError, match="Address already in use"):
        socket.create_server(("127.0.0.1", tcp))
    with pytest.raises(docker.errors.APIError, match="address already in use"):
        world.fill(second["project"], {"80/tcp": tcp})
    container = world.fill(lease["project"], {"80/tcp": tcp, "53/udp": udp})
    world.echo(container)
    until(lambda: _answers(tcp) and _answers_udp(udp) and _answers(tcp, "::1"))
    container.kill()
    assert not _answers(tcp)
    with pytest.raises(OSError, match="Address already in use"):
        socket.create_server(("127.0.0.1", tcp))
    container.start()
    until(lambda: _answers(tcp) and _answers(tcp, "::1"))
    world.kill_daemon()
    ensure_running(world.config)
    until(lambda: _answers(tcp) and _answers(tcp, "::1"))
    assert world.call("DELETE", f"/{lease['id']}")[0] == 200
    socket.create_server(("127.0.0.1", tcp)).close()
    again = world.lease(stack=stack, ports=wanted)
    assert (again["instance"], again["ports"]) == (0, lease["ports"])
    for each in (second, again):
        assert world.call("DELETE", f"/{each['id']}")[0] == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, '"" is not a project\'s name'),
        ({"project": "../x"}, '"../x" is not a project\'s name'),
        ({"project": "x", "stack": "Ä"}, "is not a project's name"),
        ({"project": "x", "ttl_s": 0}, "ttl_s: 0: a time of more than 0 s"),
        ({"project": "x", "ttl_s": -1}, "expected a number of seconds"),
        ({"project": "x", "ttl_s": "1h"}, "expected a number of seconds"),
        ({"project": "x", "ttl_s": 1e30}, "ttl_s: 1e+30"),
        ({"project": "x", "tll_s": 3}, 'unknown key "tll_s"'),
        ({"project": "x", "ports": [{"container_port": 0}]}, "container_port: expected a number"),
        ({"project": "x", "ports": [{"container_port": 80, "protocol": "dccp"}]}, "dccp"),
        ({"project": "x", "ports": [{"container_port": 8, "host_ip": "me"}]}, "invalid IP"),
        ({"project": "x", "ports": [{"container_port": 80, "host_port": 8}]}, '"host_port"'),
        ({"project": "x", "ports": [{"container_port": 80}] * 5000}, "more than 4096 ports"),
        ({"project": "x", "watch_owner": "yes"}, "watch_owner: expected a boolean"),
    ],
)
def test_what_is_no_lease_is_refused(engine: EngineConfig, body: object, told: str) -> None:
    status, answer = request(engine.socket, "POST", "/stackr/v1/leases", body)
    assert status == 400, answer
    assert told in answer["message"]
    status, leases = request(engine.socket, "GET", "/stackr/v1/leases")
    assert status == 200
    assert "x" not in {lease["project"] for lease in leases}


def test_a_project_has_one_lease(engine: EngineConfig) -> None:
    body = {"project": _name(), "watch_owner": False}
    status, lease = request(engine.socket, "POST", "/stackr/v1/leases", body)
    assert status == 201
    status, answer = request(engine.socket, "POST", "/stackr/v1/leases", body)
    assert (status, "has one already" in answer["message"]) == (409, True)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/renew"), ("POST", "/disown")):
        status, answer = request(engine.socket, method, f"/stackr/v1/leases/nosuch{path}")
        assert (status, answer["message"]) == (404, "no such lease: nosuch")
    assert request(engine.socket, "DELETE", f"/stackr/v1/leases/{lease['id']}")[0] == 200


def test_a_process_in_a_pid_namespace_is_watched_all_the_same(engine: EngineConfig) -> None:
    body = json.dumps({"project": _name()})
    argv = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, lease_owner.__file__]
    owner = subprocess.Popen(
        [*argv, str(engine.socket), body],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    answer = json.loads(owner.stdout.readline())["answer"]
    path = f"/stackr/v1/leases/{answer['id']}"
    assert answer["owner"]["pid"] not in (0, 1, owner.pid)
    owner.kill()
    owner.communicate()
    until(lambda: request(engine.socket, "GET", path)[0] == 404)
