"""How often commands turn to the engine: counts, which are the same on any machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recording_proxy import Requests, recording_proxy
from stackr_stack import Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        networks: [front, back]
        depends_on: [db]
      db:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        networks: [back]
        volumes: ["data:/data"]
    networks: {front: {}, back: {}}
    volumes: {data: {}}
    """
PING = "GET /_ping"
_VERSION = re.compile(r"/v1\.\d+")


def asked(stack: Stack, folder: Path, *command: str) -> Requests:
    """The requests of one command."""
    with recording_proxy(folder, stack.engine.socket) as (proxy, seen):
        stack("--engine", f"unix://{proxy}", *command)
    return seen


def paths(seen: Requests) -> list[str]:
    """Without the API's version and the query."""
    return [_VERSION.sub("", line.partition("?")[0]) for line in seen]


def test_what_changes_nothing_is_a_ping_and_one_call(stack: Stack, tmp_path: Path) -> None:
    stack.write(STACK)
    stack("up", "-d")
    for command, call in (
        (("up", "--dry-run"), "GET /stackr/v1/snapshot"),
        (("diff",), "GET /stackr/v1/snapshot"),
        (("ps",), "GET /containers/json"),
    ):
        seen = asked(stack, tmp_path, *command)
        assert (paths(seen), seen.connections) == ([PING, call], 1), command
    seen = asked(stack, tmp_path, "up", "-d")  # its lock lasts, on a connection of its own
    assert paths(seen) == [PING, "POST /stackr/v1/locks", "GET /stackr/v1/snapshot"]
    assert seen.connections == 2
    logs = asked(stack, tmp_path, "logs")
    assert len(logs) == 4, logs  # a ping, a list, and each container's


def test_down_asks_once_and_goes_on_with_few_connections(stack: Stack, tmp_path: Path) -> None:
    stack.write(STACK)
    stack("up", "-d")
    seen = asked(stack, tmp_path, "down", "-v")
    asking = [line for line in paths(seen) if line.startswith("GET ")]
    assert asking[:2] == [PING, "GET /stackr/v1/snapshot"]
    assert seen.connections <= 5, seen


def test_a_revision_is_kept_by_two_calls(stack: Stack, tmp_path: Path) -> None:
    stack.write(STACK)
    seen = paths(asked(stack, tmp_path, "up", "-d"))
    look = "GET /containers/json"  # for where it answers, at the end
    assert seen[-3:] == ["GET /stackr/v1/snapshot", "POST /volumes/create", look]
    asking = [line for line in seen if line.startswith("GET ")]
    assert asking == [PING, *["GET /stackr/v1/snapshot"] * 2, look]
