"""Process, network, mount and UTS namespaces that stand for a machine, and end with one process.

Whatever runs in them has the first process of the PID namespace above it, so that SIGKILL for that
one ends it all: daemons, shims, containers, mounts, links. So does the end of the thread that made
them, however it ends. What stays of it are the control groups.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from killed_daemon import kill_process
from polling import until

__all__ = ["Sandbox", "groups", "kill_child", "remove_groups", "sandbox"]

_DEADLINE_S = 60.0
_PREPARE = """
hostname "$1"
ip link set lo up
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$2"
touch "$2.ready"
exec tini-static -- sleep infinity
"""


class Sandbox:
    """A machine that runs. pid: of its first process, as this host counts. disk: see `sandbox`."""

    def __init__(self, name: str, pid: int, disk: Path) -> None:
        self.name = name
        self.pid = pid
        self.disk = disk

    def command(self, *argv: str) -> list[str]:
        """What runs `argv` there."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--", *argv]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*argv), check=check, capture_output=True, text=True, timeout=_DEADLINE_S
        )

    def shell(self, script: str) -> str:
        """Its output. Raises CalledProcessError."""
        return self.run("sh", "-ec", script).stdout


@contextmanager
def sandbox(name: str, folder: Path) -> Iterator[Sandbox]:
    """A machine with this host name, which sees this host's files.

    It has a /run of its own, and a disk in memory at `folder`/NAME, which nobody else sees.
    """
    disk = folder / name
    disk.mkdir()
    said = folder / f"{name}.said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", "--"),
                *("unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"),
                *("--mount-proc", "sh", "-ec", _PREPARE, "sh", name, str(disk)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        ready = folder / f"{name}.ready"
        until(lambda: ready.exists() or process.poll() is not None, f"the sandbox {name}")
        assert process.poll() is None, f"the sandbox {name} has ended: {said.read_text()}"
        yield Sandbox(name, _child_of(process.pid), disk)
    finally:
        kill_child(process)


def _child_of(pid: int) -> int:
    """The only child of a process."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def kill_child(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for what `nsenter` or `unshare` has started, and for itself thereby."""
    with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
        kill_process(_child_of(process.pid))
    process.kill()
    process.wait(_DEADLINE_S)


def remove_groups(parent: str) -> None:
    """The control groups below /`parent` in every hierarchy; their processes have ended."""
    for root in groups(parent):
        for folder, _, _ in os.walk(root, topdown=False):
            _remove_group(Path(folder))


def _remove_group(folder: Path) -> None:
    """The kernel lets go of a group a moment after its last process."""

    def is_gone() -> bool:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    until(is_gone, f"the end of {folder}")


def groups(parent: str) -> list[Path]:
    """The folders of /`parent` that are there."""
    base = Path("/sys/fs/cgroup")
    found = (base / parent, *(each / parent for each in base.iterdir() if each.is_dir()))
    return [folder for folder in found if folder.is_dir()]
