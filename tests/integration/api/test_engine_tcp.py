"""The API over TCP with mutual TLS: for docker, for stackr, and for whoever is neither."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_request import request
from polling import until
from tls_certificates import make_certificates

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running, log_path

pytestmark = pytest.mark.root


@dataclass(frozen=True)
class Remote:
    """An engine on a port of loopback, and the certificates for it."""

    config: EngineConfig
    port: int
    certificates: Path

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def environ(self, certificates: Path | None = None) -> dict[str, str]:
        chosen = certificates or self.certificates
        tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(chosen)}
        return {**os.environ, **tls, "DOCKER_HOST": self.url, "STACKR_ENGINE": self.url}

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
        context.load_cert_chain(self.certificates / "cert.pem", self.certificates / "key.pem")
        return context


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("remote")
    certificates = make_certificates(folder / "tls")
    flags = {
        "hosts": ["tcp://127.0.0.1:0", f"unix://{folder}/docker.sock"],
        "tlsverify": True,
        "tlscacert": f"{certificates}/ca.pem",
        "tlscert": f"{certificates}/server.pem",
        "tlskey": f"{certificates}/server-key.pem",
    }
    config = EngineConfig.at(folder / "data", folder / "run", flags=flags)
    ensure_running(config)
    listening = re.search(r"listening: tcp://127.0.0.1:(\d+)", log_path(config).read_text())
    assert listening is not None
    yield Remote(config, int(listening[1]), certificates)
    control.stop(config, timeout_s=60)
    assert not (folder / "docker.sock").exists()


def docker(
    remote: Remote, *words: str, stdin: str = "", certificates: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words],
        env=remote.environ(certificates),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def stackr(
    remote: Remote, *words: str, stdin: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stackr", *words],
        env={**remote.environ(), **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def image(remote: Remote, busybox_image: str) -> str:
    assert docker(remote, "pull", "-q", busybox_image).returncode == 0
    return busybox_image


def test_output_comes_after_the_input_has_ended(remote: Remote, image: str, tmp_path: Path) -> None:
    """`docker run -i` and `stackr exec` end one direction of TLS, and read on."""
    count = "cat | wc -c; sleep 0.2; echo end; echo bad >&2; exit 3"
    text = "x" * 300_000
    done = docker(remote, "run", "--rm", "-i", image, "sh", "-c", count, stdin=text)
    assert (done.stdout.split(), done.stderr, done.returncode) == (["300000", "end"], "bad\n", 3)
    (tmp_path / "compose.yaml").write_text(
        f"name: over-tls\nservices: {{a: {{image: '{image}', init: true, command: sleep 1000}}}}\n"
    )
    file = str(tmp_path / "compose.yaml")
    up = stackr(remote, "-f", file, "up", "-d")
    assert up.returncode == 0, up.stderr
    done = stackr(remote, "-f", file, "exec", "-T", "a", "sh", "-c", count, stdin=text)
    assert (done.stdout.split(), done.stderr, done.returncode) == (["300000", "end"], "bad\n", 3)
    assert stackr(remote, "-f", file, "down", "-t", "0").returncode == 0


def test_a_restart_keeps_options_and_containers(remote: Remote, image: str) -> None:
    docker(remote, "run", "-d", "--name", "stays", "--init", image, "sleep", "1000")
    shape = ("inspect", "-f", "{{.State.Pid}}", "stays")
    before, pid = control.status(remote.config).pid, docker(remote, *shape).stdout
    roots = {
        "STACKR_DATA_ROOT": str(remote.config.data_root),
        "STACKR_EXEC_ROOT": str(remote.config.exec_root),
    }
    done = stackr(remote, "engine", "restart", **roots)
    assert done.returncode == 0, done.stderr
    assert control.status(remote.config).pid not in (None, before)
    again = re.findall(r"listening: tcp://127.0.0.1:(\d+)", log_path(remote.config).read_text())
    object.__setattr__(remote, "port", int(again[-1]))
    assert docker(remote, *shape).stdout == pid != ""
    docker(remote, "rm", "-f", "stays")


def test_every_address_is_the_same_engine(remote: Remote) -> None:
    shown = docker(remote, "info", "--format", "{{.ID}}").stdout.strip()
    other = remote.config.data_root.parent / "docker.sock"
    for path in (remote.config.socket, other):
        assert request(path, "GET", "/info")[1]["ID"] == shown


def test_wrong_certificates_are_told_in_one_line(remote: Remote, tmp_path: Path) -> None:
    others = make_certificates(tmp_path / "others")
    none = make_certificates(tmp_path / "none")
    (none / "cert.pem").unlink()
    (none / "ca.pem").write_bytes((remote.certificates / "ca.pem").read_bytes())
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name, of in (("ca.pem", remote.certificates), ("cert.pem", others), ("key.pem", others)):
        (foreign / name).write_bytes((of / name).read_bytes())
    engine = f'stackr: engine "{remote.url}": '

    def told(certificates: Path, **environ: str) -> list[str]:
        done = stackr(remote, "ls", DOCKER_CERT_PATH=str(certificates), **environ)
        assert done.returncode == 1
        return done.stderr.splitlines()

    assert told(others)[0] == f"{engine}TLS: self-signed certificate in certificate chain"
    assert told(none)[0].startswith(f"{engine}TLS: tlsv13 alert certificate required")
    assert told(foreign)[0].startswith(f"{engine}TLS: tlsv1 alert unknown ca")
    assert told(tmp_path / "no")[0] == (
        f'{engine}certificates in "{tmp_path}/no": No such file or directory'
    )
    plain = told(remote.certificates, DOCKER_TLS_VERIFY="")
    assert plain[0] == "stackr: Client sent an HTTP request to an HTTPS server."
    assert "DOCKER_TLS_VERIFY=1" in plain[1]
    assert "certificate" in docker(remote, "ps", certificates=others).stderr


def test_a_context_of_docker_names_it(remote: Remote, tmp_path: Path) -> None:
    environ = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    pem = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    files = ",".join(f"{key}={remote.certificates}/{name}" for key, name in pem.items())
    create = ["docker", "context", "create", "far", "--docker", f"host={remote.url},{files}"]
    subprocess.run(create, env=environ, check=True, capture_output=True)

    def engine(**chosen: str) -> str:
        bare = {"DOCKER_HOST": "", "DOCKER_TLS_VERIFY": "", "DOCKER_CONFIG": str(tmp_path)}
        done = stackr(remote, "version", "--json", **{**bare, **chosen})
        return str(json.loads(done.stdout)["engine"])

    for chosen in (
        {"STACKR_ENGINE": "context://far"},
        {"STACKR_ENGINE": "docker", "DOCKER_CONTEXT": "far"},
    ):
        assert "stackr embedded engine" in engine(**chosen)
    use = ["docker", "context", "use", "far"]
    subprocess.run(use, env=environ, check=True, capture_output=True)
    assert "stackr embedded engine" in engine(STACKR_ENGINE="docker")
    assert 'docker context "near": not found' in engine(STACKR_ENGINE="context://near")


def test_strangers_do_not_hold_it_up(remote: Remote) -> None:
    """Who says nothing, who speaks no TLS, and who goes away in the middle."""
    pid = control.status(remote.config).pid
    assert pid is not None
    before = len(os.listdir(f"/proc/{pid}/fd"))
    address = ("127.0.0.1", remote.port)
    silent = [socket.create_connection(address) for _ in range(50)]
    for garbage in (
        b"\0" * 5000,
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(address) as one:
            one.sendall(garbage)
    for begun in (b"\x16\x03\x01", b"\x16"):
        with socket.create_connection(address) as one:
            one.sendall(begun)
            one.shutdown(socket.SHUT_WR)
    with remote.context().wrap_socket(
        socket.create_connection(address), server_hostname="127.0.0.1"
    ) as half:
        half.sendall(b"GET /_ping HTTP/1.1\r\nHost: d")
        os.close(half.detach())
    connection = http.client.HTTPSConnection("127.0.0.1", remote.port, context=remote.context())
    connection.request("GET", "/_ping")
    assert connection.getresponse().read() == b"OK"
    connection.close()
    for one in silent:
        one.close()
    until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before)


def test_a_lock_ends_with_its_client(remote: Remote) -> None:
    """There is no process to be seen; the end of the connection counts."""
    lock = "/stackr/v1/locks?project=p&pid=1&user=u&host=h"

    def hold() -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        made = http.client.HTTPSConnection("127.0.0.1", remote.port, context=remote.context())
        made.request("POST", lock)
        return made, made.getresponse()

    first, answer = hold()
    assert json.loads(answer.readline())["state"] == "held"
    second, waiting = hold()
    assert json.loads(waiting.readline())["state"] == "waiting"
    first.close()
    answer.close()
    assert json.loads(waiting.readline())["state"] == "held"
    second.close()
    waiting.close()


def test_an_image_that_it_lacks_is_asked_for_pulled_and_started(
    remote: Remote, busybox_image: str
) -> None:
    """`stackr container run -d -p`, as on one host for an engine on another."""
    stackr(remote, "image", "rm", "-f", busybox_image)
    serve = "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"
    web = ("--name", "afar", "-p", "127.0.0.1::80", busybox_image, "sh", "-c", serve)
    done = stackr(remote, "container", "run", "-d", *web)
    assert (done.returncode, len(done.stdout)) == (0, 65), done.stderr
    assert f"Unable to find image '{busybox_image}' locally\n" in done.stderr
    try:
        host, _, port = (
            stackr(remote, "container", "port", "afar", "80").stdout.strip().partition(":")
        )

        def page() -> bytes:
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            try:
                connection.request("GET", "/")
                return connection.getresponse().read()
            except OSError:
                return b""
            finally:
                connection.close()

        until(lambda: page() == b"served\n")
    finally:
        assert stackr(remote, "container", "rm", "-f", "afar").stdout == "afar\n"
