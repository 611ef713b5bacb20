"""An engine that systemd starts for a socket, and the group whose members may use it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_request import request
from polling import until

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import daemon_argv, is_running

pytestmark = pytest.mark.root

_GROUP = 12_345
# As systemd does it: the sockets from 3 on, and whose they are.
_ACTIVATE = 'exec 3<&"$1" && shift && LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may go through, as they may through /run."""
    with tempfile.TemporaryDirectory(prefix="stackr-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_socket_of_systemd_is_served_and_stays(folder: Path) -> None:
    config = EngineConfig.at(
        folder / "data", folder / "run", flags={"group": str(_GROUP), "hosts": []}
    )
    config.exec_root.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(config.socket))
        listener.listen()
        argv = ["bash", "-c", _ACTIVATE, "bash", str(listener.fileno()), *daemon_argv(config)]
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(argv, pass_fds=(listener.fileno(),), stderr=log)
        try:
            # This one waits in the socket's queue until the engine is there.
            assert request(config.socket, "GET", "/info")[0] == 200
            until(lambda: b"ready:" in (folder / "log").read_bytes(), "the engine's start")
            assert _may_use(config, _GROUP) == "200"
            assert _may_use(config, _GROUP + 1) == "PermissionError"
            assert stat.S_IMODE(config.exec_root.stat().st_mode) == 0o710
        finally:
            control.stop(config, timeout_s=60)
            daemon.wait(60)
        assert config.socket.exists(), "it is systemd's, and starts the next engine"
        assert is_running(config), "clients may queue there"


def _may_use(config: EngineConfig, group: int) -> str:
    """What a member of this group, who is not root, gets from the engine."""
    code = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(65534)\n"
        "client = socket.socket(socket.AF_UNIX)\n"
        "try:\n"
        "    client.connect(sys.argv[1])\n"
        "    client.sendall(b'GET /_ping HTTP/1.0\\r\\n\\r\\n')\n"
        "    print(client.recv(100).split()[1].decode())\n"
        "    os.listdir(os.path.dirname(sys.argv[1]))\n"
        "except OSError as error:\n"
        "    print(type(error).__name__)\n"
    )
    argv = [sys.executable, "-c", code, str(config.socket), str(group)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.stdout.split()[0]
