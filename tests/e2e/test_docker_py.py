"""docker-py on the engine, and beside it on dockerd."""

from __future__ import annotations

import contextlib
import io
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from engine_request import request
from peer import Peer

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers(always=True)]


@pytest.fixture
def client(peer: Peer, busybox_image: str) -> Iterator[Any]:
    client = docker.DockerClient(base_url=f"unix://{peer.socket}", version="auto", timeout=60)
    client.images.pull(busybox_image.rpartition(":")[0], tag="latest")
    yield client
    client.close()


@pytest.fixture
def sleeper(client: Any, busybox_image: str) -> Iterator[Any]:
    container = client.containers.run(busybox_image, ["sleep", "1000"], detach=True)
    yield container
    with contextlib.suppress(NotFound):
        container.remove(force=True, v=True)


def test_the_engine_is_asked(client: Any, peer: Peer) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == ("1.41" if peer.is_dockerd else "1.56")
    assert client.info()["OSType"] == "linux"


def test_run_gives_output_or_the_failure(client: Any, busybox_image: str) -> None:
    output = client.containers.run(busybox_image, ["echo", "hello"], remove=True)
    assert output == b"hello\n"
    with pytest.raises(ContainerError) as caught:
        client.containers.run(busybox_image, ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert caught.value.exit_status == 3


def test_a_container_from_start_to_end(client: Any, sleeper: Any) -> None:
    sleeper.reload()
    assert sleeper.status == "running"
    assert sleeper.id in [container.id for container in client.containers.list()]
    assert sleeper.exec_run(["cat", "/data/hello"]) == (0, b"hello from the image\n")
    code, streams = sleeper.exec_run(["sh", "-c", "echo a; echo b >&2; exit 4"], demux=True)
    assert (code, streams) == (4, (b"a\n", b"b\n"))
    sleeper.rename(f"r-{uuid.uuid4().hex[:8]}")
    sleeper.pause()
    sleeper.unpause()
    sleeper.stop(timeout=0)
    assert sleeper.wait()["StatusCode"] == 137
    sleeper.remove()
    with pytest.raises(NotFound, match="No such container"):
        client.containers.get(sleeper.id)


def test_what_was_asked_for_is_shown(client: Any, busybox_image: str) -> None:
    container = client.containers.create(
        busybox_image, ["true"], runtime="runc", isolation="default"
    )
    host_config = container.attrs["HostConfig"]
    container.remove()
    assert (host_config["Runtime"], host_config["Isolation"]) == ("runc", "default")
    with pytest.raises(APIError, match="linux only supports 'default'"):
        client.containers.create(busybox_image, ["true"], isolation="hyperv")


def test_a_build_takes_its_steps_from_the_images_that_are_named(
    client: Any, busybox_image: str
) -> None:
    text = f"FROM {busybox_image}\nENV A=1\nRUN touch one\nRUN touch two\n".encode()
    tag = f"t-{uuid.uuid4().hex[:8]}"

    def cached(**options: Any) -> int:
        lines = client.api.build(fileobj=io.BytesIO(text), decode=True, tag=tag, **options)
        return sum("Using cache" in line.get("stream", "") for line in lines)

    try:
        assert cached(nocache=True) == 0
        client.images.get(tag).tag(f"{tag}-first")
        assert cached(cache_from=[f"{tag}-first"]) == 3
        assert cached(cache_from=[f"{tag}-none", f"{tag}-first"]) == 3
        assert cached(cache_from=[f"{tag}-none"]) == 0
        assert cached(cache_from=[busybox_image]) == 0
        assert cached() == 3
    finally:
        for name in (tag, f"{tag}-first"):
            with contextlib.suppress(ImageNotFound):
                client.images.remove(name, force=True)
        client.images.prune()


def test_arguments_that_ps_refuses(sleeper: Any) -> None:
    with pytest.raises(APIError, match="unknown gnu long option") as refused:
        sleeper.top(ps_args="--invalid")
    assert refused.value.status_code == 500


def test_a_port_that_is_spelled_twice_is_one(client: Any, peer: Peer, busybox_image: str) -> None:
    exposed: dict[str, object] = {"80": {}, "80/tcp": {}, "53/udp": {}}
    host = {"PublishAllPorts": True}
    body = {"Image": busybox_image, "Cmd": ["sleep", "1000"], "ExposedPorts": exposed}
    _, made = request(peer.socket, "POST", "/containers/create", {**body, "HostConfig": host})
    container = client.containers.get(made["Id"])
    try:
        container.start()
        container.reload()
        assert set(container.ports) == {"53/udp", "80/tcp"}
        hosts = [each["HostIp"] for each in container.ports["80/tcp"]]
        assert hosts.count("0.0.0.0") == (2 if peer.is_dockerd else 1)  # one in newer ones
    finally:
        container.remove(force=True)


def test_a_terminal_is_resized(client: Any, busybox_image: str) -> None:
    container = client.containers.run(busybox_image, ["sleep", "1000"], tty=True, detach=True)
    try:
        container.pause()
        container.resize(30, 100)
        container.unpause()
        assert container.exec_run(["stty", "-F", "/dev/console", "size"]).output == b"30 100\n"
        asked = {"event": "resize", "container": container.id}
        (told,) = client.events(since=1, until=int(time.time()) + 1, filters=asked, decode=True)
        shown = told["Actor"]["Attributes"]
        assert (shown["height"], shown["width"]) == ("30", "100")
    finally:
        container.remove(force=True)


def test_logs_are_streamed(client: Any, busybox_image: str) -> None:
    container = client.containers.run(
        busybox_image, ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"], detach=True
    )
    try:
        assert b"".join(container.logs(stream=True)) == b"1\n2\n3\n"
        assert container.logs(tail=1) == b"3\n"
        assert container.logs(stdout=False, stderr=True) == b""
    finally:
        container.remove(force=True)


def test_attach_socket_is_half_closed(client: Any, busybox_image: str) -> None:
    container = client.containers.create(busybox_image, ["wc", "-c"], stdin_open=True)
    try:
        options = {"stdin": 1, "stdout": 1, "stream": 1}
        attached = client.api.attach_socket(container.id, options)
        container.start()
        raw = attached._sock
        raw.sendall(b"x" * 100_000)
        raw.shutdown(1)
        output = b""
        while chunk := raw.recv(4096):
            output += chunk
        attached.close()
        raw.close()
        assert output[8:].strip() == b"100000"
    finally:
        container.remove(force=True)


def test_errors_are_the_ones_that_clients_match(client: Any, registry: str) -> None:
    with pytest.raises(ImageNotFound):
        client.images.get("no-such-image:1")
    with pytest.raises(NotFound):
        client.containers.run(f"{registry}/no-such-image", "true", remove=True)
    with pytest.raises(APIError) as caught:
        client.networks.create("bridge", check_duplicate=True)
    assert caught.value.status_code in (403, 409)


def test_a_registry_is_asked_for_a_digest(client: Any, busybox_image: str) -> None:
    data = client.images.get_registry_data(busybox_image)
    image = client.images.get(busybox_image)
    assert f"{busybox_image.rpartition(':')[0]}@{data.id}" in image.attrs["RepoDigests"]


@pytest.mark.unlike_dockerd("one as old as Debian's tells no platform of an OCI manifest")
def test_a_registry_is_asked_for_a_platform(client: Any, busybox_image: str) -> None:
    data = client.images.get_registry_data(busybox_image)
    assert data.has_platform("linux/amd64")


def test_networks_and_volumes(client: Any, sleeper: Any) -> None:
    network = client.networks.create(f"n-{uuid.uuid4().hex[:8]}", labels={"a": "b"})
    volume = client.volumes.create(f"v-{uuid.uuid4().hex[:8]}", labels={"a": "b"})
    try:
        network.connect(sleeper, aliases=["again"])
        network.reload()
        assert [container.id for container in network.containers] == [sleeper.id]
        network.disconnect(sleeper)
        assert volume in client.volumes.list(filters={"label": "a=b"})
    finally:
        network.remove()
        volume.remove()


def test_events_are_followed(client: Any, busybox_image: str) -> None:
    seen: list[str] = []
    events = client.events(decode=True, filters={"type": "container", "container": "watched"})

    def listen() -> None:
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    client.containers.run(busybox_image, ["true"], remove=False, name="watched")
    client.containers.get("watched").remove()
    listener.join(60)
    events.close()
    for action in ("create", "start", "die", "destroy"):
        assert action in seen
