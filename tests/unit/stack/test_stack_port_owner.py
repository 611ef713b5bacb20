"""Who has a host port: told of a container, and of a process of this host."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import pytest
from fake_runtime import FakeRuntime

from stackr.runtime import labels
from stackr.runtime.types import ContainerState, PublishedPort
from stackr.stack.port_owner import owner_of, taken_port


class Listed(FakeRuntime):
    """An engine with one container, which publishes 8080."""

    async def list_containers(self, **asked: object) -> list[ContainerState]:
        ports = (PublishedPort(80, "tcp", "0.0.0.0", 8080),)
        web = ContainerState(id="1", name="shop-web-1", ports=ports)
        return [replace(web, labels={labels.PROJECT: "shop"})]


@pytest.mark.parametrize(
    ("message", "port"),
    [
        ("host port 127.0.0.1:80/tcp is in use", (80, "tcp")),
        ("host port [::]:53/udp is in use", (53, "udp")),
        ("host port 80 is in use", None),
    ],
)
def test_the_port_that_an_error_is_about(message: str, port: tuple[int, str] | None) -> None:
    assert taken_port(message) == port


async def test_a_container_has_it() -> None:
    assert await owner_of(Listed(), 8080, "tcp") == "container shop-web-1 of project shop"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_a_process_has_it(family: socket.AddressFamily) -> None:
    with socket.socket(family) as listener:
        listener.bind(("", 0))
        port = listener.getsockname()[1]
        assert await owner_of(Listed(), port, "tcp") == ""
        listener.listen()
        assert (await owner_of(Listed(), port, "tcp")).endswith(f" (pid {os.getpid()})")
        assert await owner_of(Listed(), port, "udp") == ""
