"""What an engine may leave behind, counted: processes (its sidecars among them), mounts, cgroups,
nftables tables, links, sockets.

Everything is found by names that derive from the engine's own settings, so that other engines on
the same host do not count.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from stackr.runtime.engine.config import EngineConfig

_SETTLE_S = 60.0
_POLL_S = 0.05


def assert_nothing_left(config: EngineConfig, bridges: frozenset[str] = frozenset()) -> None:
    """Fail with a list of what is left of a stopped engine with no containers.

    bridges: the links that its networks had. The kernel frees some things a moment later.
    """
    deadline = time.monotonic() + _SETTLE_S
    while (left := leftovers(config, bridges)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    assert not left, "left behind:\n" + "\n".join(left)


def leftovers(config: EngineConfig, bridges: frozenset[str] = frozenset()) -> list[str]:
    """One line for each thing that is left."""
    return [
        *_processes(config),
        *_mounts(config),
        *_cgroups(config),
        *_tables(config),
        *(f"link {name}" for name in sorted(bridges & set(os.listdir("/sys/class/net")))),
        *(f"socket {path}" for path in _sockets(config) if path.exists()),
    ]


def _sockets(config: EngineConfig) -> tuple[Path, ...]:
    return config.socket, config.resolver_socket, config.relay_socket


def _processes(config: EngineConfig) -> list[str]:
    roots = (os.fsencode(config.data_root), os.fsencode(config.exec_root))
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if any(root in command for root in roots) and int(folder.name) != os.getpid():
            found.append(f"process {folder.name}: {command.replace(bytes(1), b' ').decode()}")
    return found


def _mounts(config: EngineConfig) -> list[str]:
    roots = (str(config.data_root), str(config.exec_root))
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    own = {str(config.data_root)}  # a disk of a test's own
    return [
        f"mount {line}"
        for line in lines
        if any(root in line for root in roots) and line.split()[4] not in own
    ]


def _cgroups(config: EngineConfig) -> list[str]:
    name = config.cgroup_parent.strip("/")
    base = Path("/sys/fs/cgroup")
    folders = [base / name, *(group / name for group in base.iterdir() if group.is_dir())]
    return [f"cgroup {folder}" for folder in folders if folder.is_dir()]


def _tables(config: EngineConfig) -> list[str]:
    listing = subprocess.run(
        ["nft", "list", "tables"], check=True, capture_output=True, text=True, timeout=_SETTLE_S
    ).stdout
    return [line for line in listing.splitlines() if line.split()[-1] == config.nft_table]
