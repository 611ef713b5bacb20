"""The machine and the versions that figures hold for."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path


def describe() -> dict[str, object]:
    """Processor, memory, kernel, distribution, and the version of every program that takes part."""
    meminfo = Path("/proc/meminfo").read_text()
    return {
        "processor": _first(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "memory_mib": int(_first(r"MemTotal:\s*(\d+)", meminfo) or 0) // 1024,
        "kernel": platform.release(),
        "distribution": _first(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text()),
        "cgroups": "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "versions": {
            program: _version([program, "--version"])
            for program in ("crun", "runc", "conmon", "dockerd", "containerd", "docker-compose")
        },
    }


def _version(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return _first(r"(\d+\.\d+[.\d]*)", done.stdout)


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None
