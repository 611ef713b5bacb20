"""The client on one host, the engine on another: two network namespaces, and TLS between them."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import busybox_image
import leak_census
import loopback_registry
import pytest
from stackr_stack import STACKR
from tls_certificates import make_certificates

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

_ENGINE, _CLIENT = "10.213.7.1", "10.213.7.2"
_COMMAND_S = 120.0


def _run(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
    )


def _must(*argv: str, **environ: str) -> str:
    done = _run(*argv, **environ)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def _hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a wire between them: the engine's, and the client's."""
    mark = secrets.token_hex(3)
    names = f"e{mark}", f"c{mark}"
    try:
        for name in names:
            _must("ip", "netns", "add", name)
            _must("ip", "-n", name, "link", "set", "lo", "up")
        peer = ("type", "veth", "peer", "name", "wire", "netns", names[1])
        _must("ip", "-n", names[0], "link", "add", "wire", *peer)
        for name, address in zip(names, (_ENGINE, _CLIENT), strict=True):
            _must("ip", "-n", name, "addr", "add", f"{address}/30", "dev", "wire")
            _must("ip", "-n", name, "link", "set", "wire", "up")
        yield names
    finally:
        for name in names:
            _run("ip", "netns", "del", name)


@dataclass(frozen=True)
class Remote:
    """What runs where. image: in a registry that only the engine's host reaches."""

    client_host: str
    certificates: Path
    image: str
    registry: subprocess.Popen[bytes]

    def __call__(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command on the client's host."""
        url = f"tcp://{_ENGINE}:2376"
        return _run(
            *("nsenter", f"--net=/run/netns/{self.client_host}", "--", *argv),
            DOCKER_HOST=url,
            DOCKER_TLS_VERIFY="1",
            DOCKER_CERT_PATH=str(self.certificates),
            STACKR_ENGINE=url,
        )

    def must(self, *argv: str) -> str:
        done = self(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with _hosts() as (engine_host, client_host):
        there = ("nsenter", f"--net=/run/netns/{engine_host}", "--")
        address = loopback_registry.configure(tmp_path)
        image = f"{address}/far/busybox:1"
        with loopback_registry.run(tmp_path, address):
            loopback_registry.push(busybox_image.busybox_image(), image, tmp_path / "layout")
        serve = ("docker-registry", "serve", str(tmp_path / "registry.yml"))
        with (tmp_path / "log").open("wb") as log:
            registry = subprocess.Popen([*there, *serve], stdout=log, stderr=log)
        certificates = make_certificates(tmp_path / "tls", _ENGINE)
        roots = ("--data-root", str(tmp_path / "data"), "--exec-root", str(tmp_path / "run"))
        tls = (
            *("--tlsverify", "--tlscacert", f"{certificates}/ca.pem"),
            *("--tlscert", f"{certificates}/server.pem"),
            *("--tlskey", f"{certificates}/server-key.pem"),
        )
        host = ("-H", f"tcp://{_ENGINE}:2376")
        try:
            _must(*there, STACKR, "engine", "start", *roots, *host, *tls)
            made = Remote(client_host, certificates, image, registry)
            yield made
            if left := made.must("docker", "ps", "-aq").split():
                made.must("docker", "rm", "-f", *left)
        finally:
            registry.terminate()
            registry.wait(_COMMAND_S)
            config = EngineConfig.at(tmp_path / "data", tmp_path / "run")
            control.stop(config, timeout_s=_COMMAND_S)
    leak_census.assert_nothing_left(config, frozenset())


def test_what_is_lacking_is_pulled_there_kept_and_started(remote: Remote, tmp_path: Path) -> None:
    assert remote.must("docker", "images", "-q") == ""
    done = remote("docker", "run", "--rm", remote.image, "echo", "from afar")
    assert (done.returncode, done.stdout) == (0, "from afar\n")
    assert "Unable to find image" in done.stderr
    assert len(remote.must("docker", "images", "-q").split()) == 1
    remote.must("docker", "rmi", remote.image)
    (tmp_path / "compose.yaml").write_text(
        f"name: afar\nservices:\n  web: {{image: '{remote.image}', init: true,"
        " command: sleep 1000}\n"
    )
    file = ("-f", str(tmp_path / "compose.yaml"))
    up = remote(STACKR, *file, "up", "-d")
    assert up.returncode == 0, up.stderr
    assert " Up " in remote.must(STACKR, *file, "ps")
    assert remote.must(STACKR, *file, "exec", "-T", "web", "echo", "in it") == "in it\n"
    remote.registry.terminate()
    remote.registry.wait(_COMMAND_S)
    assert remote.must("docker", "run", "--rm", remote.image, "echo", "kept") == "kept\n"
    remote.must(STACKR, *file, "down", "-t", "0")
