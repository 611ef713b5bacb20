"""What changes without a new container, what others change, hooks, and probes without a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e]

Docker = Callable[..., Any]

STACK = """\
    services:
      web:
        image: ${{IMAGE}}
        command: sleep 1000
        stop_grace_period: 0s
        {attributes}
    """


def host_config(docker: Docker, stack: Stack) -> dict[str, Any]:
    found = docker("inspect", "-f", "{{json .HostConfig}}", f"{stack.name}-web-1").stdout
    value = json.loads(found)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("before", "after", "key", "value"),
    [
        ("mem_limit: 64m", "mem_limit: 96m", "Memory", 96 << 20),
        ("cpus: 0.5", "cpus: 0.75", "NanoCpus", 750_000_000),
        ("pids_limit: 50", "pids_limit: 60", "PidsLimit", 60),
        (
            "restart: on-failure",
            "restart: always",
            "RestartPolicy",
            {"Name": "always", "MaximumRetryCount": 0},
        ),
        ("mem_limit: 64m", "tty: false", "Memory", 0),
        (
            "deploy: {resources: {limits: {memory: 64m}}}",
            "deploy: {resources: {limits: {memory: 80m, cpus: '1'}}}",
            "Memory",
            80 << 20,
        ),
    ],
)
def test_limits_change_in_place(
    stack: Stack, docker: Docker, before: str, after: str, key: str, value: Any
) -> None:
    stack.write(STACK.format(attributes=before))
    stack("up", "-d")
    ids = stack.ids()
    stack.write(STACK.format(attributes=after))
    shown = stack("diff", "--exit-code", want=2).stdout
    assert "1 to update" in shown
    assert "in place" in shown
    stack("up", "-d")
    assert stack.ids() == ids
    assert (host_config(docker, stack)[key] or 0) == value
    stack("diff", "--exit-code")


def test_limits_that_others_change_are_drift_and_put_back(stack: Stack, docker: Docker) -> None:
    stack.write(STACK.format(attributes="mem_limit: 64m"))
    stack("up", "-d")
    ids = stack.ids()
    name = f"{stack.name}-web-1"
    docker("update", "--memory", "80m", "--memory-swap", "160m", "--restart", "always", name)
    shown = stack("diff", "--exit-code", want=2).stdout
    assert "[drift]" in shown
    assert "mem_limit" in shown
    assert "restart" in shown
    stack("up", "-d")
    assert stack.ids() == ids
    found = host_config(docker, stack)
    assert (found["Memory"], found["RestartPolicy"]["Name"]) == (64 << 20, "no")
    stack("diff", "--exit-code")


def test_hooks(stack: Stack) -> None:
    stack.write(
        STACK.format(
            attributes="""volumes: ["data:/data"]
        post_start:
          - {command: [sh, -c, "echo started-$$WHO >> /data/log"], environment: {WHO: me}}
          - {command: [sh, -c, "echo twice >> /data/log"], user: root, working_dir: /data}
        pre_stop:
          - command: [sh, -c, "echo stopping >> /data/log"]
    volumes: {data: {}}"""
        )
    )
    stack("up", "-d")
    assert stack("exec", "-T", "web", "cat", "/data/log").stdout == "started-me\ntwice\n"
    stack("restart")
    stack("up", "-d", "--force-recreate")
    log = stack("exec", "-T", "web", "cat", "/data/log").stdout.split()
    assert log == ["started-me", "twice", "stopping"] * 2 + ["started-me", "twice"]


def test_a_hook_that_fails_is_told_with_its_output(stack: Stack) -> None:
    hook = 'post_start: [{command: [sh, -c, "echo no luck; exit 3"]}]'
    stack.write(STACK.format(attributes=hook))
    told = stack("up", "-d", want=1).stderr
    assert 'exited with code 3: "no luck"' in told


@pytest.mark.parametrize(
    ("probe", "command"),
    [
        ("{tcp: 80}", "sh -c 'sleep 0.5; httpd -f -p 80 -h /'"),
        ("{http: 'http://:80/etc/hostname'}", "sh -c 'sleep 0.5; httpd -f -p 80 -h /'"),
        ("{log: 'ready .* accept'}", "sh -c 'sleep 0.5; echo is ready to accept; sleep 1000'"),
        ("{file: /tmp/ready}", "sh -c 'sleep 0.5; touch /tmp/ready; sleep 1000'"),
    ],
)
def test_probes_need_no_program_in_the_container(stack: Stack, probe: str, command: str) -> None:
    stack.write(
        f"""\
        services:
          web:
            image: ${{IMAGE}}
            command: {command}
            stop_grace_period: 0s
            x-stackr: {{probe: {probe}}}
          after:
            image: ${{IMAGE}}
            command: sleep 1000
            stop_grace_period: 0s
            depends_on: {{web: {{condition: service_healthy}}}}
        """
    )
    stack("up", "--wait", "--wait-timeout", "80")
    assert stack.containers()[f"{stack.name}-web-1"]["Health"] == "healthy"
    assert stack.states() == {"web-1": "running", "after-1": "running"}
    stack("diff", "--exit-code")


def test_what_is_unhealthy_is_restarted_as_the_file_says(stack: Stack, docker: Docker) -> None:
    probe = "probe: {file: /ok, interval: 50ms, retries: 1}"
    stack.write(STACK.format(attributes=f"x-stackr: {{{probe}}}"))
    stack("up", "-d")
    ids = stack.ids()
    asked = "restart_unhealthy: {max_attempts: 1, delay: 0s}"
    stack.write(STACK.format(attributes=f"x-stackr: {{{probe}, {asked}}}"))
    assert "x-stackr.restart_unhealthy" in stack("diff").stdout
    stack("up", "-d")
    assert stack.ids() == ids
    until(lambda: ", restarted once, given up (unhealthy)" in stack("ps").stdout)
    assert ", restarted once, given up (unhealthy)" in docker("ps").stdout
    found = docker("inspect", "-f", "{{json .Stackr.RestartUnhealthy}}", f"{stack.name}-web-1")
    assert json.loads(found.stdout)["Restarts"] == 1


def test_a_service_has_its_own_time_to_become_ready(stack: Stack, docker: Docker) -> None:
    stack.write(STACK.format(attributes="x-stackr: {probe: {tcp: 1}, ready_timeout: 2s}"))
    stack("up", "-d")
    health = "{{json .State.Health.Log}}"
    until(lambda: "refused" in docker("inspect", "-f", health, f"{stack.name}-web-1").stdout)
    told = stack("up", "--wait", want=1).stderr
    assert "is not running or healthy after 2 s" in told
    assert "connection refused" in told.lower()
    until(lambda: stack.states() == {"web-1": "running"})
