"""Which Linux capabilities a container's processes hold.

Names are the kernel's, with their prefix (`CAP_CHOWN`); callers may leave the prefix out, and say
`ALL`. Source: Docker's default set; capabilities(7); linux/capability.h for the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from stackr.errors import InvalidArgument

__all__ = ["DEFAULT", "KNOWN", "available", "effective"]


def _names(words: str) -> tuple[str, ...]:
    return tuple("CAP_" + word for word in words.split())


# In the order of their numbers.
KNOWN = _names("""
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
""")

DEFAULT = frozenset(
    _names("""
CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
SYS_CHROOT KILL AUDIT_WRITE
""")
)


def available(status: Path = Path("/proc/self/status")) -> frozenset[str]:
    """What the engine itself may hand on: its bounding set."""
    for line in status.read_text().splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.split()[1], 16)
            return frozenset(name for bit, name in enumerate(KNOWN) if mask >> bit & 1)
    return frozenset(KNOWN)


def effective(
    *, add: Sequence[str], drop: Sequence[str], privileged: bool, host: frozenset[str]
) -> list[str]:
    """The container's set, in the order of the kernel's numbers; never more than `host`.

    Raises InvalidArgument, with Docker's text, for a name that is unknown or that the host lacks.
    """
    added, dropped = (
        _normalize("CapAdd", add, host),
        _normalize("CapDrop", drop, frozenset(KNOWN)),
    )
    if privileged:
        chosen = set(host)
    elif "ALL" in added:
        chosen = set(host) - dropped
    elif "ALL" in dropped:
        chosen = added
    else:
        chosen = (set(DEFAULT) - dropped) | added
    return [name for name in KNOWN if name in chosen and name in host]


def _normalize(key: str, names: Iterable[str], allowed: frozenset[str]) -> set[str]:
    result = set()
    for given in names:
        name = given.upper()
        if name == "ALL":
            result.add(name)
            continue
        name = name if name.startswith("CAP_") else "CAP_" + name
        if name not in KNOWN:
            raise InvalidArgument(f'invalid {key}: unknown capability: "{name}"')
        if name not in allowed:
            raise InvalidArgument(
                "capability not supported by your kernel or not available in the current"
                f' environment: "{name}"'
            )
        result.add(name)
    return result
