"""What an engine keeps is nobody's but root's, and containers of other users work all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stackr_stack import STACKR, Stack

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

_TRY = """
import json, os, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
def works(act, *arguments):
    try:
        return act(*arguments) is not False
    except OSError:
        return False
for path in json.load(sys.stdin):
    acts = {
        "list": lambda: works(os.listdir, path),
        "read": lambda: works(os.open, path, os.O_RDONLY | os.O_NONBLOCK),
        "write": lambda: works(os.access, path, os.W_OK),
        "enter or execute": lambda: works(os.access, path, os.X_OK),
    }
    for name, act in acts.items():
        if act():
            print(name, path)
"""

_FILE = """
    x-user: &user {user: "1000:1000", image: "$IMAGE", stop_grace_period: 0s}
    services:
      web:
        <<: *user
        command: sh -c 'cat /etc/hosts /etc/resolv.conf /run/secrets/pw /cf /data/shown; sleep 100'
        environment: {PASSWORD: ENV-SECRET}
        secrets: [pw]
        configs: [{source: cf, target: /cf}]
        volumes: ["data:/data", "/anonymous", {type: image, source: "$IMAGE", target: /image}]
        tmpfs: [/scratch]
        healthcheck: {test: "cat /data/shown && ls /image/bin", interval: 200ms, retries: 50}
      db:
        image: $IMAGE
        command: >-
          sh -c 'cp /bin/busybox /data/suid; chmod 4755 /data/suid; echo y > /data/shown; sleep 100'
        stop_grace_period: 0s
        volumes: ["data:/data", {type: volume, source: parts, target: /part}]
        healthcheck: {test: "test -f /data/shown", interval: 200ms, retries: 50}
    secrets: {pw: {file: pw}}
    configs: {cf: {content: CONFIG-SECRET}}
    volumes: {data: , parts: }
"""


@pytest.fixture
def stack(
    tmp_path: Path, new_engine: Callable[[], EngineConfig], busybox_image: str
) -> Iterator[Stack]:
    config = new_engine()
    for folder in (config.data_root.parent, config.data_root.parent.parent):
        folder.chmod(0o755)  # what keeps others out is the engine's own
    made = Stack(tmp_path, config)
    made.environ["IMAGE"] = busybox_image
    yield made
    made("down", "-v", "-t", "0")


def _everything(root: Path) -> list[str]:
    return [os.fspath(root), *(os.fspath(path) for path in root.rglob("*"))]


def _open_to_others(config: EngineConfig) -> str:
    paths = [path for root in (config.data_root, config.exec_root) for path in _everything(root)]
    assert any(path.endswith("_data/suid") for path in paths)
    assert any(path.endswith("config.json") for path in paths)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _TRY],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _as_an_earlier_version_left_it(config: EngineConfig) -> None:
    for root in (config.data_root, config.exec_root):
        for path in (root, *root.iterdir()):
            path.chmod(0o755)


def test_nothing_of_the_engine_is_open_to_other_users(stack: Stack, tmp_path: Path) -> None:
    stack.write(_FILE)
    (tmp_path / "pw").write_text("FILE-SECRET\n")
    (tmp_path / "pw").chmod(0o644)
    stack("up", "-d", "--wait", "db")
    stack("up", "-d", "--wait")
    logs = stack("logs", "--no-log-prefix", "web").stdout
    assert "FILE-SECRET" in logs
    assert "CONFIG-SECRET" in logs
    assert "localhost" in logs
    stack("exec", "-T", "-d", "web", "sleep", "100")
    stack("cp", "web:/etc/hosts", str(tmp_path / "hosts"))
    assert _open_to_others(stack.engine) == ""

    stack("engine", "stop")
    _as_an_earlier_version_left_it(stack.engine)
    assert _open_to_others(stack.engine)
    subprocess.run([STACKR, "engine", "start"], env=stack.environ, check=True, umask=0)
    assert _open_to_others(stack.engine) == ""
    stack("up", "-d", "--wait", "--force-recreate", "web")
    assert stack("exec", "-T", "web", "cat", "/data/shown").stdout == "y\n"
    assert _open_to_others(stack.engine) == ""
