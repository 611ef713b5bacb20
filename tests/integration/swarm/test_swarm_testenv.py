"""`stackr test` on a real Swarm: a copy that answers, says where it fails, and expires."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from polling import until
from swarm_project import Stack

from stackr.runtime.labels import EXPIRES

pytestmark = pytest.mark.root
_NOT_READY = 125
_SERVE = "mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www; echo serving; sleep 99"
_READY = {"test": ["CMD", "test", "-f", "/www/index.html"], "interval": "1s"}


def _web(stack: Stack) -> dict[str, Any]:
    """Whose file's own port every copy would want."""
    web = stack.service(
        ports=[{"target": 80, "published": "8080", "mode": "host"}],
        volumes=["data:/data"],
        healthcheck=_READY,
    )
    return {**web, "command": ["sh", "-c", _SERVE]}


def _left(stack: Stack) -> list[Any]:
    """All that stacks leave, on every node."""
    found = [stack.rig.manager.call("GET", f"/{kind}") for kind in ("services", "configs")]
    networks = stack.rig.manager.call("GET", "/networks")
    found.append([each["Name"] for each in networks if each["Name"].startswith("shop")])
    return [each for kind in found for each in kind]


def _volumes(stack: Stack) -> list[Any]:
    lists = [node.call("GET", "/volumes").get("Volumes") or [] for node in stack.rig.nodes]
    return [volume for each in lists for volume in each]


def _containers(stack: Stack, service: str) -> list[Any]:
    """On any node, of ended tasks too. service: its ID."""
    lists = [node.call("GET", "/containers/json?all=1") for node in stack.rig.nodes]
    label = "com.docker.swarm.service.id"
    return [each for found in lists for each in found if each["Labels"].get(label) == service]


def test_a_copy_answers_at_its_nodes_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    stack.write({"web": _web(stack)}, volumes={"data": {}})
    hub = f"nsenter --net --target {stack.rig.hub.pid}"
    ask = f'{hub} curl -sS --max-time 20 "$STACKR_WEB_80_URL"; env > {tmp_path}/told; exit 7'
    artifacts = tmp_path / "artifacts"
    done = stack("test", f"--artifacts={artifacts}", "--", "sh", "-c", ask, want=7)
    assert done.stdout == "hello\n"
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert told["STACKR_PROJECT"].startswith("shop-t-")
    assert not told["STACKR_WEB_80"].endswith(":8080"), "the file's own port may be taken"
    assert "the command exited with code 7" in done.stderr
    assert "removed in" in done.stderr
    (log,) = (artifacts / "logs").iterdir()
    assert log.name.startswith("web.1@node")
    assert log.read_text().endswith(" serving\n")
    state = json.loads((artifacts / "state.json").read_text())
    assert [task["state"] for task in state["tasks"]] == ["running"]
    assert _left(stack) == []
    until(lambda: not _volumes(stack), "the end of the task's volume")


_TESTS = """
import pytest
import stackr

pytestmark = pytest.mark.stackr("stack.yml")


def test_the_page(stackr_env):
    done = stackr_env.exec("web", ["cat", "/www/index.html"], number=1)
    assert (done.exit_code, done.stdout) == (0, b"hello\\n")
    assert [line.partition("  | ")[2] for line in stackr_env.logs("web")] == ["serving"]
    assert stackr_env.url("web", 80).startswith("http://10.77.0.11:")
    with pytest.raises(stackr.StackrError, match='node "node2": its engine cannot be reached'):
        stackr_env.exec("far", ["true"])


def test_that_fails(stackr_env):
    assert stackr_env.name == "another"
"""


def test_tests_use_a_copy_by_the_engines_of_its_nodes(stack: Stack, tmp_path: Path) -> None:
    def on(node: str) -> dict[str, Any]:
        return {"placement": {"constraints": [f"node.hostname == {node}"]}}

    web = stack.service(ports=["80"], healthcheck=_READY, deploy=on("node1"))
    far = stack.service(deploy=on("node2"))
    stack.write({"web": {**web, "command": ["sh", "-c", _SERVE]}, "far": far})
    (tmp_path / "test_shop.py").write_text(_TESTS)
    options = (f"--stackr-engine=swarm+{stack.rig.manager.url}", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, f"--rootdir={tmp_path}", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "DOCKER_CONFIG": str(tmp_path / "none")},
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "far-1: running" in done.stdout, "what a test that failed shows"
    assert _left(stack) == []


def test_one_that_is_not_ready_says_why(stack: Stack, tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no disk >&2; exit 3"]
    never = {"test": ["CMD", "false"], "interval": "30s", "start_period": "60s"}
    policy = {"restart_policy": {"condition": "none"}}
    web = stack.service(deploy=policy, healthcheck=never)
    stack.write({"web": {**web, "command": command}})
    done = stack("test", "--", "true", want=_NOT_READY)
    assert 'service "web"' in done.stderr
    assert "task: non-zero exit (3)" in done.stderr
    assert "no disk" in done.stderr
    assert _left(stack) == []
    stack.write({"web": stack.service(privileged=True)})
    assert "privileged" in stack("test", "--", "true", want=1).stderr, "a mistake in the file"


def test_a_command_runs_as_a_task_and_leaves_nothing(stack: Stack) -> None:
    web = stack.service(configs=[{"source": "app", "target": "/app.conf"}])
    stack.write({"web": web, "db": stack.service()}, configs={"app": {"content": "hello\n"}})
    say = "cat /app.conf; echo $A; echo bad >&2; exit 5"
    done = stack("run", "--no-deps", "-e", "A=1", "web", "sh", "-c", say, want=5)
    assert done.stdout == "hello\n1\n"
    assert "bad\n" in done.stderr
    assert "--interactive: not on a cluster" in stack("run", "-i", "web", want=1).stderr
    assert stack.rig.manager.call("GET", "/services") == []

    wait = "trap exit TERM; sleep 999 & wait"
    id = stack("run", "--no-deps", "-d", "web", "sh", "-c", wait).stdout.strip()
    (job,) = stack.rig.manager.call("GET", "/services")
    assert job["ID"] == id
    assert "orphan" not in {each["change"] for each in stack.changes()}
    stack("down")
    assert _left(stack) == []
    until(lambda: not _containers(stack, id), "the end of what ran")


def test_a_killed_client_s_copy_goes_with_the_next_command(stack: Stack) -> None:
    stack.write({"web": stack.service()})
    killed = subprocess.Popen(
        stack.argv("test", "--ttl=2s", "--", "sleep", "999"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "STACKR_WARM": "0"},
    )
    until(lambda: stack.rig.manager.call("GET", "/services"), "the copy")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (config,) = stack.rig.manager.call("GET", "/configs")
    assert config["Spec"]["Labels"][EXPIRES].isdecimal(), "where every client sees it"

    stack("up", "-d", "--ttl=1h")
    assert stack.changes() == [], "the time is no part of the stack"
    until(lambda: "shop-t-" not in stack("ls", files=False).stdout, "the time of the copy")
    assert [each["Spec"]["Name"] for each in stack.rig.manager.call("GET", "/services")] == [
        "shop_web"
    ]
    stack("up", "-d", "--ttl=1s")
    gone = "shop: removed, as its time was up"
    until(lambda: gone in stack("ls", files=False).stderr, "the time of the stack")
    assert _left(stack) == []
