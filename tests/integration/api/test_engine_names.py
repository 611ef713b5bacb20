"""Names of real containers, whatever happens to the daemon and to the resolver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import leak_census
import pytest
from killed_daemon import kill_daemon, kill_process
from network_lab import lookup, own_listener, upstream
from polling import until

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running

pytestmark = pytest.mark.root

NewEngine = Callable[[], EngineConfig]
_DEADLINE_S = 60.0


def _is_alive(pid: int) -> bool:
    try:
        return b" Z " not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2][:3]
    except OSError:
        return False


def _resolvers(config: EngineConfig) -> list[int]:
    return [
        int(line.split()[1].rstrip(":"))
        for line in leak_census.leftovers(config)
        if line.startswith("process") and "stackr-resolver" in line
    ]


class Names:
    """Containers on one network, asked from within: by their own resolv.conf and busybox."""

    def __init__(self, config: EngineConfig, image: str) -> None:
        self.config = config
        self.image = image
        self.client = docker.DockerClient(
            base_url=f"unix://{config.socket}", version="1.47", timeout=60
        )
        self.client.images.pull(image.rpartition(":")[0], tag="latest")
        self.network = self.client.networks.create("app")
        self.upstream = own_listener()
        self.dns = [self.upstream.getsockname()[0]]

    def close(self) -> None:
        self.upstream.close()
        self.client.close()

    def start(self, name: str) -> tuple[int, str]:
        """The container's first process, and its address."""
        container = self.client.containers.run(
            self.image, ["sleep", "1000"], detach=True, name=name, network="app", dns=self.dns
        )
        container.reload()
        settings: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]["app"]
        return container.attrs["State"]["Pid"], settings["IPAddress"]


@pytest.fixture
def names(new_engine: NewEngine, busybox_image: str) -> Iterator[Names]:
    names = Names(new_engine(), busybox_image)
    yield names
    names.close()


def test_names_outlive_the_daemon(names: Names) -> None:
    web, _ = names.start("web")
    _, db = names.start("db")
    (resolver,) = _resolvers(names.config)
    kill_daemon(names.config)
    with upstream(names.upstream):
        for _ in range(3):
            assert f"Address: {db}" in lookup(web, "db")
            until(lambda: "Address: 192.0.2.7" in lookup(web, "example.org"), "what is outside")
    ensure_running(names.config)
    _, late = names.start("late")
    assert f"Address: {late}" in lookup(web, "late")
    assert f"Address: {db}" in lookup(web, "db")
    assert _resolvers(names.config) == [resolver]
    control.stop(names.config, timeout_s=_DEADLINE_S)
    assert f"Address: {late}" in lookup(web, "late")
    ensure_running(names.config)
    assert _resolvers(names.config) == [resolver]


def test_a_killed_resolver_is_replaced(names: Names) -> None:
    web, _ = names.start("web")
    _, db = names.start("db")
    (resolver,) = _resolvers(names.config)
    kill_process(resolver)
    until(
        lambda: f"Address: {db}" in lookup(web, "db", is_lost=True),
        "an answer of the next resolver",
    )
    (second,) = _resolvers(names.config)
    assert second != resolver
    kill_daemon(names.config)
    kill_process(second)
    assert f"Address: {db}" not in lookup(web, "db", is_lost=True)
    ensure_running(names.config)
    assert f"Address: {db}" in lookup(web, "db")


def test_nothing_stays_of_containers_that_end_without_a_daemon(names: Names) -> None:
    web, _ = names.start("web")
    db, _ = names.start("db")
    (resolver,) = _resolvers(names.config)
    kill_daemon(names.config)
    for pid in (web, db):
        assert _is_alive(resolver)
        kill_process(pid)
    until(lambda: not _resolvers(names.config), "the end of the resolver")
    assert not names.config.resolver_socket.exists()
    # The kernel takes a network namespace, and the link into it, down some time after its end.
    until(lambda: not _ports(names.network), "the end of the links")


def _ports(network: Any) -> list[str]:
    return os.listdir(f"/sys/class/net/sk-{network.id[:12]}/brif")
