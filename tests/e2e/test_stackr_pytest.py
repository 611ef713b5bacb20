"""`stackr_env` of pytest: shared or own, published ports, and what failures show."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from stackr_stack import Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: sh -c 'echo started; sleep 1000'
        expose: ["7000"]
    """
TESTS = """\
import os, pathlib, pytest
pytestmark = pytest.mark.stackr("compose.yaml", publish="web")

def note(env):
    with open("seen", "a") as file:
        file.write(env.name + " " + env.url("web", 7000) + "\\n")

def test_exec(stackr_env):
    note(stackr_env)
    assert stackr_env.exec("web", ["echo", "hi"]).stdout == b"hi\\n"

def test_the_same_one(stackr_env):
    note(stackr_env)
    stackr_env.exec("web", ["sh", "-c", "echo said > /proc/1/fd/1"])
    assert "web-1  | started" in stackr_env.logs()
    assert False

@pytest.mark.stackr("compose.yaml", scope="function")
def test_one_of_its_own(stackr_env):
    assert stackr_env.name not in open("seen").read()
    stackr_env.url("web", 7000)

@pytest.mark.stackr("broken.yaml")
def test_not_ready(stackr_env):
    pass
"""


def run(stack: Stack, *options: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "stackr.pytest_plugin",
            *options,
            "test_it.py",
        ],
        cwd=stack.folder,
        env={**stack.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_fixture_for_tests(stack: Stack) -> None:
    stack.write(STACK)
    stack.write(STACK.replace("sleep 1000", "exit 3"), "broken.yaml")
    (stack.folder / "test_it.py").write_text(TESTS)
    shown = run(stack, "--stackr-artifacts", "kept")
    one, same = (stack.folder / "seen").read_text().splitlines()
    assert one == same
    assert "2 failed, 1 passed, 1 error" in shown
    assert "web-1: running\nweb-1  | said\n" in shown
    assert 'service "web": its port 7000/tcp is not published' in shown
    assert 'root cause: service "web": exited with code 3' in shown
    kept = stack.folder / "kept" / "test_it.py_test_the_same_one" / "web.log"
    assert kept.read_text() == "web-1  | started\nweb-1  | said\n"
    assert stack("ls", "-a", "-q").stdout.split() == []


def test_ports_that_the_file_does_not_publish(stack: Stack) -> None:
    stack.write(STACK)
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    wishes = ("--publish", "web:7001/udp", "--publish", "all", "--artifacts", "art")
    shown = stack("test", *wishes, "--", sys.executable, "-c", program).stdout
    told = json.loads(shown)
    assert told["STACKR_WEB_7000"].startswith("127.0.0.1:")
    assert told["STACKR_WEB_7001_UDP"].startswith("127.0.0.1:")
    assert told["STACKR_ARTIFACTS"] == os.path.join(stack.folder, "art", "command")
    assert os.path.isdir(told["STACKR_ARTIFACTS"])
