"""Namespaces of the benchmark's own, so that nothing that an engine sets up outlives it.

dockerd leaves its bridge and its firewall's chains behind when it is stopped; both engines work in
one network and mount namespace that ends with the benchmark, next to whatever the host runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

INSIDE = "STACKR_BENCH_INSIDE"


def enter(arguments: Sequence[str]) -> None:
    """Run the benchmark again inside new namespaces; returns only there."""
    if os.environ.get(INSIDE) == "1":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        _show_own_network()
        return
    os.environ[INSIDE] = "1"
    namespaces = ["unshare", "--net", "--mount", "--propagation", "private"]
    os.execvp(namespaces[0], [*namespaces, sys.executable, "-m", "bench", *arguments])


def _show_own_network() -> None:
    """Mount sysfs anew, as it shows the network of the namespace in which it was mounted."""
    with tempfile.TemporaryDirectory() as aside:
        for command in (
            ["mount", "--rbind", "/sys/fs/cgroup", aside],
            ["mount", "-t", "sysfs", "sysfs", "/sys"],
            ["mount", "--rbind", aside, "/sys/fs/cgroup"],
            ["umount", "--lazy", aside],
        ):
            subprocess.run(command, check=True)
