"""testcontainers on the engine, and beside it on dockerd."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from peer import Peer
from polling import until
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import ExecWaitStrategy, LogMessageWaitStrategy

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers(always=True)]

Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def image(peer: Peer, pulled: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Without the container that removes what is left: its image is nowhere to be had."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{peer.socket}")
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    return pulled


def test_a_container_is_waited_for_and_asked(image: str) -> None:
    script = "echo $GREETING; echo up >&2; exec sleep 1000"
    asked = DockerContainer(image).with_env("GREETING", "hello").with_command(["sh", "-c", script])
    with asked.waiting_for(LogMessageWaitStrategy("up")) as container:
        assert container.get_logs() == (b"hello\n", b"up\n")
        done = container.exec(["sh", "-c", "cat /data/hello; exit 3"])
        assert (done.exit_code, done.output) == (3, b"hello from the image\n")
        container.reload()
        assert container.status == "running"


def test_a_command_says_when_it_is_ready(image: str) -> None:
    asked = DockerContainer(image).with_command(["sh", "-c", "touch /ready; sleep 1000"])
    with asked.waiting_for(ExecWaitStrategy(["test", "-e", "/ready"])) as container:
        assert container.exec("ls /ready").exit_code == 0


def test_a_port_is_published(image: str, peer: Peer) -> None:
    script = "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"
    with DockerContainer(image).with_exposed_ports(80).with_command(["sh", "-c", script]) as web:
        port = web.get_exposed_port(80)
        until(lambda: peer.fetch(f"127.0.0.1:{port}") == "served\n")


def test_containers_of_a_network_know_each_other(image: str) -> None:
    with Network() as network:
        asked = DockerContainer(image).with_command("sleep 1000").with_network(network)
        with asked.with_network_aliases("web"):
            other = DockerContainer(image).with_command("sleep 1000").with_network(network)
            with other as container:
                assert container.exec("nslookup web").exit_code == 0


def test_files_and_folders_are_put_in(image: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("of the host")
    asked = DockerContainer(image).with_volume_mapping(str(tmp_path), "/mapped", "ro")
    with asked.with_command("sleep 1000") as container:
        container.copy_into_container(b"of the test", "/tmp/copied")
        done = container.exec("cat /tmp/copied /mapped/kept")
        assert done.output == b"of the testof the host"


def test_an_image_is_built_used_and_removed(image: str, tmp_path: Path, docker: Docker) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nRUN echo made > /made\nCMD cat /made\n")
    with DockerImage(path=str(tmp_path), tag="of-testcontainers:1") as built:
        with DockerContainer(str(built)).waiting_for(LogMessageWaitStrategy("made")):
            pass
        assert docker("images", "-q", "of-testcontainers:1").stdout
    assert not docker("images", "-q", "of-testcontainers:1").stdout
