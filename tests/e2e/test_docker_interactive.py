"""What `docker` users do at a terminal, and what clients ask of exec streams."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from engine_request import raw_request, request
from peer import Peer
from pty_process import terminal_of

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers]

Docker = Callable[..., subprocess.CompletedProcess[str]]
_DETACH = (b"\x10", b"\x11")


def test_one_who_detaches_comes_back_and_types_on(
    docker: Docker, docker_host: dict[str, str], pulled: str, name: str
) -> None:
    with terminal_of(["docker", "run", "-it", "--name", name, pulled, "sh"], docker_host) as first:
        first.read_until(b"# ")
        for key in _DETACH:
            first.type(key)
        assert first.wait() == 0
    with terminal_of(["docker", "attach", name], docker_host) as second:
        second.until_raw()
        second.type(b"echo $((40 + 2))\n")
        second.read_until(b"42")
        second.type(b"exit 3\n")
        assert second.wait() == 3


def test_input_that_nobody_reads_costs_no_output(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    lines = "line\n" * 300_000
    docker("run", "--rm", "-i", pulled, "true", stdin=lines)
    assert docker("run", "--rm", "-i", pulled, "head", "-1", stdin=lines).stdout == "line\n"
    docker("run", "-d", "--name", name, pulled, "sleep", "1000")
    assert docker("exec", "-i", name, "head", "-1", stdin=lines).stdout == "line\n"
    missing = 126 if peer.is_dockerd else 127
    why = docker("exec", "-i", name, "no-such-program", stdin=lines, want=missing).stdout
    assert "executable file not found" in why


def test_an_exec_outlives_its_client(
    docker: Docker, docker_host: dict[str, str], peer: Peer, pulled: str, name: str
) -> None:
    docker("run", "-d", "--name", name, pulled, "sleep", "1000")
    argv = ["docker", "exec", "-it", name, "sh", "-c", "echo up; read line; sleep 1000"]
    with terminal_of(argv, docker_host) as shell:
        shell.read_until(b"up")
        shell.process.kill()
        shell.wait()
    (exec_id,) = _inspect(peer, name)["ExecIDs"]
    docker("exec", name, "true")
    assert request(peer.socket, "GET", f"/exec/{exec_id}/json")[1]["Running"]


@pytest.mark.unlike_dockerd("to one as old as Debian's the keys are an error that ends the exec")
def test_an_exec_is_left_by_its_keys(docker: Docker, peer: Peer, pulled: str, name: str) -> None:
    docker("run", "-d", "--name", name, pulled, "sleep", "1000")
    asked = {"AttachStdin": True, "Tty": True, "DetachKeys": "ctrl-a,d"}
    exec_id = _exec(peer, name, ["cat"], **asked)
    stream = _start(peer, exec_id, Tty=True)
    stream.sendall(b"hello\n")
    assert stream.recv(1) == b"h"
    stream.sendall(b"\x01d")
    assert b"ello" in _rest(stream)
    assert request(peer.socket, "GET", f"/exec/{exec_id}/json")[1]["Running"]
    body = {"Cmd": ["cat"], "DetachKeys": "ctrl-nothing"}
    status, answer = request(peer.socket, "POST", f"/containers/{name}/exec", body)
    assert (status, answer["message"]) == (400, "Invalid escape keys (ctrl-nothing) provided")


@pytest.mark.unlike_dockerd("one as old as Debian's hangs up before all of a short exec is sent")
def test_an_exec_s_stream_is_as_its_start_asks(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    docker("run", "-d", "--name", name, pulled, "sleep", "1000")
    both = ["sh", "-c", "echo out; echo err >&2"]
    raw = _rest(_start(peer, _exec(peer, name, both), Tty=True))
    assert sorted(raw.split()) == [b"err", b"out"]
    framed = b"\x01\0\0\0\0\0\0\x04out\n"
    exec_id = _exec(peer, name, both, AttachStderr=False)
    assert _rest(_start(peer, exec_id)) == framed
    refused = _rest(_start(peer, exec_id))
    assert refused[8:] == f"Error: Exec command {exec_id} has already run\r\n".encode()
    assert request(peer.socket, "POST", f"/exec/{exec_id}/resize?h=10&w=10")[0] == 404
    done = docker("exec", "-u", "nosuch", name, "id", want=126)
    assert "unable to find user nosuch" in done.stdout + done.stderr


def test_a_signal_at_the_first_output_arrives(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done"
    for _ in range(3):
        created = {"Image": pulled, "Cmd": ["sh", "-c", script]}
        assert request(peer.socket, "POST", f"/containers/create?name={name}", created)[0] == 201
        output = _hijacked(peer, f"/containers/{name}/attach?stream=1&stdout=1", None)
        starting = _sent(peer, f"/containers/{name}/start")
        assert output.recv(100)
        assert request(peer.socket, "POST", f"/containers/{name}/kill?signal=TERM")[0] == 204
        assert request(peer.socket, "POST", f"/containers/{name}/wait")[1]["StatusCode"] == 5
        starting.close()
        output.close()
        docker("rm", "-f", name)


def test_an_end_is_waited_for_though_a_restart_follows(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    docker("run", "-d", "--restart", "always", "--name", name, pulled, "sh", "-c", "exit 4")
    assert request(peer.socket, "POST", f"/containers/{name}/wait")[1]["StatusCode"] == 4


def test_a_container_that_ends_meanwhile_is_committed(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    for _ in range(3):
        docker("run", "-d", "--name", name, pulled, "touch", "/new")
        assert request(peer.socket, "POST", f"/commit?container={name}&repo={name}")[0] == 201
        docker("rm", "-f", name)
    docker("rmi", "-f", name)


def test_a_websocket_is_attached(docker: Docker, peer: Peer, pulled: str, name: str) -> None:
    docker("run", "-d", "-i", "--name", name, pulled, "sh", "-c", "read x; echo got $x; cat")
    path = f"/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"
    shake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    shake += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    stream = _sent(peer, path, None, shake, method="GET")
    head = _head(stream)
    assert head.startswith(b"HTTP/1.1 101")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    stream.sendall(_masked(0x9, b"?") + _masked(0x1, b"hello\n"))
    wanted = b"\x8a\x01?\x82\x0agot hello\n"
    seen = b""
    while len(seen) < len(wanted):
        seen += stream.recv(100)
    assert seen == wanted
    stream.sendall(_masked(0x8, b"\x03\xe8"))
    assert _rest(stream) == b"\x88\x02\x03\xe8"
    assert _inspect(peer, name)["State"]["Running"]
    assert raw_request(peer.socket, "GET", path, None, "")[0] == 400


def _masked(kind: int, payload: bytes) -> bytes:
    mask = b"\1\2\3\4"
    coded = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([0x80 | kind, 0x80 | len(payload)]) + mask + coded


def _inspect(peer: Peer, name: str) -> Any:
    return request(peer.socket, "GET", f"/containers/{name}/json")[1]


def _exec(peer: Peer, name: str, command: list[str], **asked: object) -> str:
    body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True, **asked}
    return str(request(peer.socket, "POST", f"/containers/{name}/exec", body)[1]["Id"])


def _start(peer: Peer, exec_id: str, **asked: object) -> socket.socket:
    return _hijacked(peer, f"/exec/{exec_id}/start", asked)


def _hijacked(peer: Peer, path: str, body: object) -> socket.socket:
    """A connection whose answer's head is read."""
    stream = _sent(peer, path, body, "Connection: Upgrade\r\nUpgrade: tcp\r\n")
    head = _head(stream)
    assert head.startswith(b"HTTP/1.1 101"), head
    return stream


def _head(stream: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += stream.recv(1)
    return head


def _sent(
    peer: Peer, path: str, body: object = None, more: str = "", *, method: str = "POST"
) -> socket.socket:
    data = b"" if body is None else json.dumps(body).encode()
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(60)
    stream.connect(str(peer.socket))
    head = f"{method} {path} HTTP/1.1\r\nHost: engine\r\n{more}Content-Length: {len(data)}\r\n"
    kind = "Content-Type: application/json\r\n" if data else ""
    stream.sendall(f"{head}{kind}\r\n".encode() + data)
    return stream


def _rest(stream: socket.socket) -> bytes:
    with stream:
        return b"".join(iter(lambda: stream.recv(65536), b""))
