"""Debian's dockerd on folders of its own, in network and mount namespaces that end with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["entering", "load_image", "serve"]

_DEADLINE_S = 180.0


@contextlib.contextmanager
def serve(*, default_bridge: bool = False) -> Iterator[Path]:
    """A running dockerd; gives the path of its socket. Its containers are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="stackr-dockerd-") as name:
        folder = Path(name)
        parent = f"/{folder.name}"
        process = _start(folder, parent, [] if default_bridge else ["--bridge=none"])
        try:
            _wait_until_ready(folder, process)
            yield folder / "docker.sock"
            _remove_containers(folder)
        finally:
            process.terminate()
            process.wait(_DEADLINE_S)
            _remove_groups(parent)


def entering(socket: Path) -> list[str]:
    """The words before a command that runs on the network of the dockerd of this socket."""
    pid = socket.with_name("pid").read_text().strip()
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def _start(folder: Path, cgroup_parent: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    script = 'ip link set lo up && exec "$@"'
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                *("unshare", "--net", "--mount", "--propagation", "private"),
                *("sh", "-c", script, "sh", "dockerd", *options),
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'run'}",
                f"--pidfile={folder / 'pid'}",
                f"--host=unix://{folder / 'docker.sock'}",
                f"--cgroup-parent={cgroup_parent}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait_until_ready(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while _docker(folder, "version", check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"dockerd did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.1)


def _docker(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "--host", f"unix://{folder / 'docker.sock'}", *arguments],
        check=check,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )


def _remove_containers(folder: Path) -> None:
    ids = _docker(folder, "ps", "-aq").stdout.split()
    if ids:
        _docker(folder, "rm", "-f", "-v", *ids)


def _remove_groups(parent: str) -> None:
    """dockerd leaves the parent of its containers' control groups behind."""
    for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        with contextlib.suppress(OSError):
            (root / parent.lstrip("/")).rmdir()


def load_image(socket: Path, reference: str) -> None:
    """Import Debian's static busybox with its applets under this reference."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("bin", "etc", "tmp", "root", "data"):
            (folder / part).mkdir()
        busybox = Path("/bin/busybox").read_bytes()
        (folder / "bin/busybox").write_bytes(busybox)
        (folder / "bin/busybox").chmod(0o755)
        for applet in subprocess.run(
            ["/bin/busybox", "--list"], check=True, capture_output=True, text=True
        ).stdout.split():
            if applet != "busybox":
                (folder / "bin" / applet).symlink_to("busybox")
        (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        archive = subprocess.run(
            ["tar", "-C", name, "-c", "."], check=True, capture_output=True
        ).stdout
        subprocess.run(
            ["docker", "--host", f"unix://{socket}", "import", "-", reference],
            input=archive,
            check=True,
            capture_output=True,
            env={**os.environ, "DOCKER_CLI_HINTS": "0"},
            timeout=_DEADLINE_S,
        )
