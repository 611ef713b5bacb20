"""A container's address over restarts and recreations: a proxy that has looked it up goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]

# The proxy looks its upstream up once, as nginx does.
STACK = """\
    services:
      app:
        image: ${IMAGE}
        command: sh -c "while :; do echo app | nc -l -p 80; done"
        environment: {VERSION: "${VERSION:-1}"}
        deploy: {replicas: 2}
        stop_grace_period: 0s
        init: true
      proxy:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        init: true
    """


def addresses(stack: Stack, docker: Docker) -> dict[str, str]:
    """Of each container that runs."""
    ids = docker("ps", "-q", "-f", f"label=com.docker.compose.project={stack.name}").stdout.split()
    shape = "{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    shown = docker("inspect", "-f", shape, *ids).stdout
    found = dict(line.split() for line in shown.splitlines())
    return {name.removeprefix(f"/{stack.name}-"): address for name, address in found.items()}


def test_an_address_is_kept_where_it_is_free(stack: Stack, docker: Docker) -> None:
    stack.write(STACK)
    stack("up", "-d")
    before = addresses(stack, docker)
    assert set(before) == {"app-1", "app-2", "proxy-1"}

    def answers() -> bool:
        asked = stack("exec", "-T", "proxy", "nc", "-w", "5", before["app-1"], "80", want=None)
        return asked.stdout == "app\n"

    until(answers, "the app's answer")
    stack("restart", "app")
    assert addresses(stack, docker) == before
    until(answers, "the app's answer at its address")
    stack.environ["VERSION"] = "2"
    stack("up", "-d")
    assert addresses(stack, docker) == before
    stack("stop")
    for service in ("proxy", "app"):  # another order than the first
        stack("start", service)
    assert addresses(stack, docker) == before
    stack("stop", "app")
    stack("run", "--rm", "-T", "proxy", "true")
    stack("rm", "-f", "app")
    stack("up", "-d")
    assert addresses(stack, docker) == before
    until(answers, "the app's answer at its address")
