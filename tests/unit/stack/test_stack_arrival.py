"""What is told once a stack is up: addresses as one types them, and what has ended right away."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import FakeRuntime
from planning import port, service, stack, up

from stackr.cli.views.arrival import arrival_lines, ended_lines, took
from stackr.cli.views.output import Output
from stackr.runtime.types import ContainerState, PublishedPort
from stackr.stack.arrival import Arrival, Ended, arrival

PLAIN = Output(io.StringIO(), False, False)


class Engine(FakeRuntime):
    """Its containers are as `seen` says, by name."""

    seen: dict[str, dict[str, Any]]

    async def list_containers(
        self, *, labels: Sequence[str] = (), all: bool = True, limits: bool = False
    ) -> list[ContainerState]:
        listed = await super().list_containers(labels=labels, all=all, limits=limits)
        return [replace(each, **self.seen.get(each.name, {})) for each in listed]


async def seen_after_up(**seen: dict[str, Any]) -> Arrival:
    runtime = Engine.with_images("app")
    runtime.seen = {}
    project = stack({"web": service(ports=(port(80, "8080"),)), "db": service()})
    plan, _ = await up(runtime, project)
    runtime.seen = {f"demo-{name}-1": each for name, each in seen.items()}
    return await arrival(runtime, plan)


async def test_each_published_port_is_a_url() -> None:
    ports = (
        PublishedPort(80, "tcp", "0.0.0.0", 8080),
        PublishedPort(80, "tcp", "::", 8080),
        PublishedPort(443, "tcp", "192.0.2.7", 8443),
        PublishedPort(53, "udp", "127.0.0.1", 5353),
        PublishedPort(9000),
    )
    database = (PublishedPort(5432, "tcp", "", 5432),)
    arrived = await seen_after_up(web={"ports": ports}, db={"ports": database})
    assert list(arrival_lines(arrived, 9.2, PLAIN)) == [
        "demo is up in 9 s",
        "  db-1   postgresql://localhost:5432",
        "  web-1  http://localhost:8080",
        "  web-1  https://192.0.2.7:8443",
        "  web-1  udp://localhost:5353",
    ]


async def test_what_has_ended_with_an_error() -> None:
    ended = {"state": "exited", "exit_code": 3}
    again = {"state": "restarting", "exit_code": 1}
    arrived = await seen_after_up(web=ended, db=again)
    assert [(each.name, each.is_restarting) for each in arrived.ended] == [
        ("demo-db-1", True),
        ("demo-web-1", False),
    ]
    first = next(arrival_lines(arrived, 0.43, PLAIN))
    assert first == "demo is up in 0.4 s; 2 containers ended with an error"


async def test_what_has_done_its_work_is_no_error() -> None:
    arrived = await seen_after_up(web={"state": "exited", "exit_code": 0})
    assert arrived.ended == ()


def test_the_last_words() -> None:
    assert list(ended_lines(Ended("demo-db-1", 3, False, ("no config",)), PLAIN)) == [
        "container demo-db-1 exited with code 3 right after its start",
        "  last output of demo-db-1:",
        "    | no config",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (2.94, "2.9 s"), (9.4, "9 s"), (60, "1 min"), (125.2, "2 min 5 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert took(seconds) == text
