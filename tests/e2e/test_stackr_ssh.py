"""An engine by `ssh://`, on a host that has stackr and no docker.

The ssh here joins the words for the other host by blanks and gives them to a shell, as sshd does;
that host is a PATH of its own. A real sshd is in `tests/integration/swarm/test_swarm_ssh.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from stackr_stack import STACKR, Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

_SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
exec env -i HOME=/root STACKR_WARM=0 PATH={path} sh -c "$*"
"""


@pytest.fixture
def far(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The folder of the other host's programs, and an environment with the way to it."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    (there / "sh").symlink_to(shutil.which("sh") or "")
    (there / "stackr").symlink_to(STACKR)
    (here / "ssh").write_text(_SSH.format(path=there))
    (here / "ssh").chmod(0o755)
    return there, {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}


def _run(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [STACKR, *words], env=environ, capture_output=True, text=True, timeout=120
    )


def test_a_host_with_stackr_alone(stack: Stack, far: tuple[Path, dict[str, str]]) -> None:
    there, environ = far
    engine = f"--engine=ssh://me@far:2222{stack.engine.socket}"
    image = stack.environ["IMAGE"]
    ran = _run(environ, engine, "container", "run", "--rm", image, "sh", "-c", "seq 20000; exit 3")
    assert (ran.returncode, ran.stdout.split()[-1]) == (3, "20000")
    (there / "docker").write_text("#!/bin/sh\necho docker: $* >&2\n")
    (there / "docker").chmod(0o755)
    ran = _run(environ, engine, "container", "ls")
    assert f"docker: --host unix://{stack.engine.socket} system dial-stdio" in ran.stderr
    (there / "docker").unlink()
    ran = _run(environ, f"{engine}.none", "container", "ls")
    reason = f'engine "unix://{stack.engine.socket}.none": cannot connect'
    assert (ran.returncode, reason in ran.stderr) == (1, True), ran.stderr


def test_what_the_other_host_runs(stack: Stack) -> None:
    """It joins its streams to the engine's, and ends with the engine's side."""
    asked = b"GET /_ping HTTP/1.0\r\n\r\n"
    words = [STACKR, f"--engine=unix://{stack.engine.socket}", "system", "dial-stdio"]
    answer = subprocess.run(words, input=asked, capture_output=True, timeout=60, check=True).stdout
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nOK")
