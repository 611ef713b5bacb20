"""Pushes with Debian's registry: by stackr, docker, docker-py and Compose, and read by dockerd."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docker as docker_py
import loopback_registry
import private_dockerd
import pytest
from stackr_stack import Stack, compose_program, until

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., Any]
STACK = """\
    services:
      app:
        image: {image}
        command: sleep 1000
        stop_signal: KILL
    """


@pytest.fixture
def target(registry: str) -> str:
    """A name in the registry that nothing has yet."""
    return f"{registry}/push/{uuid.uuid4().hex[:8]}:1"


def manifest(reference: str) -> dict[str, Any]:
    host, _, rest = reference.partition("/")
    path, _, tag = rest.rpartition(":")
    accept = "application/vnd.oci.image.manifest.v1+json"
    url = f"http://{host}/v2/{path}/manifests/{tag}"
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_what_was_committed_is_pushed_and_comes_back(
    stack: Stack, docker: Docker, pulled: str, target: str
) -> None:
    docker("tag", pulled, target)
    stack.write(STACK.format(image=target))
    stack("up", "-d")
    stack("exec", "app", "sh", "-c", "echo new > /made")
    stack("commit", "app", target)
    done = stack("push")
    digest = docker("image", "inspect", "-f", "{{index .RepoDigests 0}}", target).stdout.strip()
    assert f"Image {target}  Pushed {digest.partition('@')[2]}" in done.stderr
    assert len(manifest(target)["layers"]) > 1
    assert "Skipped" in stack("push").stderr
    assert "Pushed" in stack("push", "app").stderr
    assert stack("push", "-q", "app").stderr == ""
    stack("down", "-t", "0")
    docker("rmi", "-f", target)
    assert docker("run", "--rm", target, "cat", "/made").stdout == "new\n"
    docker("rmi", "-f", target)


def test_failures(stack: Stack, docker: Docker, pulled: str, target: str) -> None:
    stack.write(STACK.format(image=target))
    done = stack("push", "app", want=1)
    name = target.rpartition(":")[0]
    assert f"An image does not exist locally with the tag: {name}" in done.stderr
    assert "Traceback" not in done.stderr
    stack("push", "app", "--ignore-push-failures")
    docker("tag", pulled, "127.0.0.1:1/x:1")
    stack.write(STACK.format(image="127.0.0.1:1/x:1"))
    done = stack("push", "app", want=1)
    assert 'registry "127.0.0.1:1": cannot be reached: Connection refused' in done.stderr
    docker("rmi", "127.0.0.1:1/x:1")


def test_docker_and_docker_py_and_compose(
    docker: Docker, docker_host: dict[str, str], pulled: str, target: str, tmp_path: Path
) -> None:
    docker("tag", pulled, target)
    name, _, tag = target.rpartition(":")
    lines = docker("push", target).stdout.splitlines()
    assert lines[0] == f"The push refers to repository [{name}]"
    assert lines[-1].startswith(f"{tag}: digest: sha256:")
    assert docker("push", "-q", target).stdout.strip() == target
    missing = docker("push", f"{name}:2", want=1)
    assert missing.stderr.strip() == f"tag does not exist: {name}:2"
    client = docker_py.DockerClient(base_url=docker_host["DOCKER_HOST"])
    *_, last = client.images.push(name, tag=tag, stream=True, decode=True)
    client.close()
    assert last["aux"]["Tag"] == tag
    file = tmp_path / "push.yaml"
    file.write_text(f"services: {{app: {{image: '{target}', build: .}}}}")
    done = subprocess.run(
        [compose_program(), "-f", file, "push"],
        env=docker_host,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Layer already exists" in done.stderr
    docker("rmi", "-f", target)


def test_dockerd_reads_what_is_pushed_and_the_other_way_round(
    docker: Docker, engine: EngineConfig, pulled: str, tmp_path: Path
) -> None:
    """dockerd has its own network: a second registry serves the same folder there."""
    address = loopback_registry.configure(tmp_path)
    target = f"{address}/both/app:1"
    docker("tag", pulled, target)
    with loopback_registry.run(tmp_path, address):
        pushed = docker("push", target).stdout
        with private_dockerd.serve() as socket:
            pid = (socket.parent / "pid").read_text().strip()
            inside = ("nsenter", "--net", f"--target={pid}")
            argv = [*inside, "docker-registry", "serve", str(tmp_path / "registry.yml")]
            serving = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                until(lambda: _answers(inside, address))
                told = _docker(socket, "pull", target)
                assert f"Digest: {pushed.split('digest: ')[1].split()[0]}" in told
                _docker(socket, "tag", target, f"{address}/both/again:1")
                _docker(socket, "push", f"{address}/both/again:1")
            finally:
                serving.terminate()
                serving.wait()
        docker("pull", f"{address}/both/again:1")
        ids = docker("image", "inspect", "-f", "{{.Id}}", target, f"{address}/both/again:1")
        assert len(set(ids.stdout.split())) == 1
        docker("rmi", "-f", target, f"{address}/both/again:1")


def _answers(inside: Sequence[str], address: str) -> bool:
    """Whether the registry of another network namespace has come up."""
    host, _, port = address.partition(":")
    program = f"import socket; socket.create_connection(({host!r}, {port}))"
    argv = [*inside, sys.executable, "-c", program]
    return subprocess.run(argv, stderr=subprocess.DEVNULL).returncode == 0


def _docker(socket: Path, *arguments: str) -> str:
    argv = ["docker", f"--host=unix://{socket}", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_what_was_built_is_packed_once(
    docker: Docker, pulled: str, target: str, tmp_path: Path
) -> None:
    """Built layers are not compressed before a push wants them, and not again for the next."""
    (tmp_path / "Dockerfile").write_text(f"FROM {pulled}\nRUN echo built > /made\n")
    docker("build", "-q", "-t", target, str(tmp_path))
    first = docker("push", target).stdout
    layers = manifest(target)["layers"]
    again = f"{target.rpartition(':')[0]}-again:1"
    docker("tag", target, again)
    assert "Mounted from" in docker("push", again).stdout
    assert manifest(again)["layers"] == layers
    docker("rmi", "-f", target, again)
    docker("pull", "-q", target)
    assert docker("run", "--rm", target, "cat", "/made").stdout == "built\n"
    assert first.split("digest: ")[1].split()[0] in docker("images", "--digests").stdout
    docker("rmi", "-f", target)


def test_a_credential_helper_is_asked(
    stack: Stack, docker: Docker, pulled: str, tmp_path: Path
) -> None:
    secret = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # "secret"
    helper = stack.folder / "docker-credential-test"
    helper.write_text('#!/bin/sh\necho \'{"Username": "user", "Secret": "secret"}\'\n')
    helper.chmod(0o755)
    with loopback_registry.serve(tmp_path, htpasswd=secret) as address:
        name = f"{address}/locked/app:1"
        docker("tag", pulled, name)
        stack.write(STACK.format(image=name))
        stack.environ |= {"DOCKER_CONFIG": str(stack.folder)}
        assert "no basic auth credentials" in stack("push", "app", want=1).stderr
        assert "no basic auth" in stack("config", "--resolve-image-digests", want=1).stderr
        config = {"credHelpers": {address: "test"}}
        (stack.folder / "config.json").write_text(json.dumps(config))
        stack.environ["PATH"] = f"{stack.folder}:{stack.environ['PATH']}"
        digest = stack("push", "app").stderr.rpartition("Pushed ")[2].strip()
        assert digest in stack("config", "--resolve-image-digests").stdout
        docker("rmi", "-f", name)
