"""The client of the warm process, with servers that are not what they should be."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from stackr.version import __version__
from stackr.warm import place
from stackr.warm.message import receive, send

_PROGRAM = """
import sys
from stackr.warm import client, launch
launch.start_server = lambda: None  # of a server that nobody would end
sys.argv = ["stackr", "version", "--short"]
client.main()
"""


@pytest.mark.parametrize("answer", [("exit", 0), ("signal", 9), ("declined", "no"), None])
def test_a_command_that_no_worker_has_begun_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[str, object] | None
) -> None:
    """A worker that ends before it says that it begins has done nothing."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("STACKR_WARM", "1")
    assert place.ready_folder() is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(place.socket_path())
        listener.listen()
        serving = Thread(target=_serve, args=(listener, answer))
        serving.start()
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
        )
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()
    assert done.stdout.strip() == __version__


def _serve(listener: socket.socket, answer: tuple[str, object] | None) -> None:
    with contextlib.suppress(OSError):  # nobody came
        connection, _ = listener.accept()
        with connection:
            _, fds = receive(connection)
            for fd in fds:
                os.close(fd)
            if answer is not None:
                send(connection, answer)
