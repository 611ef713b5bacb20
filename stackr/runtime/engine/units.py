"""The systemd units of an engine: its text, and where systemd looks for them; pure.

Source: systemd.socket(5), systemd.service(5); dockerd's own units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["DOCKER_SOCKET", "GROUP", "MARK", "WANTS", "Install", "service_unit", "socket_unit"]

MARK = "# Written by stackr engine install; change it by drop-ins: systemctl edit"
GROUP = "stackr"
"""Which the engine lets in by itself, where there is one."""
DOCKER_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Install:
    """command: how stackr is run. sockets: the engine's own, and others. group: who may connect."""

    command: Sequence[str]
    sockets: Sequence[str]
    group: str


def socket_unit(install: Install) -> str:
    """Opens the sockets at the boot, and starts the engine with the first client at the latest."""
    listens = "".join(f"ListenStream={path}\n" for path in install.sockets)
    return (
        f"{MARK}\n"
        "[Unit]\n"
        "Description=Sockets of stackr's container engine\n"
        "\n"
        "[Socket]\n"
        f"{listens}"
        "SocketMode=0660\n"
        "SocketUser=root\n"
        f"SocketGroup={install.group}\n"
        "RemoveOnStop=yes\n"
        "\n"
        "[Install]\n"
        "WantedBy=sockets.target\n"
    )


def service_unit(install: Install) -> str:
    """Starts the engine at the boot, too: containers come back by their restart policies."""
    words = [*install.command, "engine", "start", "--foreground"]
    if install.group != GROUP:
        words += ["--group", install.group]
    command = " ".join(_quoted(word) for word in words)
    return (
        f"{MARK}\n"
        "[Unit]\n"
        "Description=stackr's container engine\n"
        "After=network-online.target nftables.service firewalld.service stackr.socket\n"
        "Wants=network-online.target\n"
        "Requires=stackr.socket\n"
        "\n"
        "[Service]\n"
        "Type=notify\n"
        f"ExecStart={command}\n"
        "ExecReload=/bin/kill -HUP $MAINPID\n"
        "# The caller is the service itself: no other process serves it.\n"
        "Environment=STACKR_WARM=0 MALLOC_ARENA_MAX=2"
        " MALLOC_MMAP_THRESHOLD_=2097152 MALLOC_TRIM_THRESHOLD_=4194304\n"
        "Restart=on-failure\n"
        "RestartSec=1\n"
        "# Containers and their monitors outlive the engine, which takes them over when it starts"
        " again.\n"
        "KillMode=process\n"
        "Delegate=yes\n"
        "LimitNOFILE=1048576\n"
        "LimitCORE=infinity\n"
        "TasksMax=infinity\n"
        "OOMScoreAdjust=-500\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )


def _quoted(word: str) -> str:
    """A word of `ExecStart=`. Source: systemd.service(5), "Command lines"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word


WANTS = {
    "stackr.socket": PurePosixPath("sockets.target.wants/stackr.socket"),
    "stackr.service": PurePosixPath("multi-user.target.wants/stackr.service"),
}
"""What `systemctl enable` makes of a unit: a link to it, below /etc/systemd/system."""
