"""Device nodes of a container, and the rules of what it may open.

Source: Docker's `--device`, `--device-cgroup-rule`, `--privileged`; OCI runtime-spec
config-linux.md "Devices". The OCI runtime adds its own default nodes (null, zero, full, random,
urandom, tty, ptmx).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.settings.spec import DeviceMapping

__all__ = [
    "ALLOW_ALL",
    "DEFAULT_RULES",
    "allow",
    "host_devices",
    "mapped_devices",
    "node_of",
    "parse_rules",
]

Rule = dict[str, Any]

_RULE = re.compile(r"^([acb]) ([0-9]{1,10}|\*):([0-9]{1,10}|\*) ([rwm]{1,3})$")
_PERMISSIONS = re.compile(r"^[rwm]{1,3}$")
_OWN_DEV = frozenset(
    {"pts", "shm", "fd", "mqueue", "console", "ptmx", ".udev", ".lxc", ".lxd-mounts"}
)


def allow(kind: str, major: int | None, minor: int | None, access: str) -> Rule:
    """A rule; None stands for any number."""
    rule: Rule = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


ALLOW_ALL: list[Rule] = [{"allow": True, "access": "rwm"}]
DEFAULT_RULES: list[Rule] = [
    {"allow": False, "access": "rwm"},
    allow("c", None, None, "m"),
    allow("b", None, None, "m"),
    *(allow("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),  # null zero full random urandom
    *(allow("c", 5, minor, "rwm") for minor in (0, 1, 2)),  # tty console ptmx
    allow("c", 136, None, "rwm"),  # pseudo-terminals
]


def parse_rules(texts: Sequence[str]) -> list[Rule]:
    """ "c 1:3 rwm", "a *:* rwm"; raises InvalidArgument with Docker's text."""
    rules = []
    for text in texts:
        match = _RULE.match(text)
        if match is None:
            raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
        kind, major, minor, access = match.groups()
        first, second = (None if word == "*" else int(word) for word in (major, minor))
        rules.append(allow(kind, first, second, access))
    return rules


def mapped_devices(mappings: Sequence[DeviceMapping]) -> tuple[list[Rule], list[Rule]]:
    """Nodes and rules for `--device`; a folder stands for every device in it.

    Raises InvalidArgument, with Docker's text, for a path that is neither.
    """
    nodes, rules = [], []
    for mapping in mappings:
        access = mapping.cgroup_permissions or "rwm"
        if not _PERMISSIONS.match(access):
            raise InvalidArgument(f"invalid device mode: {access}")
        found = list(_nodes(Path(mapping.path_on_host), mapping.path_in_container))
        if not found:
            is_there = Path(mapping.path_on_host).exists()
            raise InvalidArgument(
                f'error gathering device information while adding custom device "'
                f'{mapping.path_on_host}": '
                + ("not a device node" if is_there else "no such file or directory")
            )
        for node in found:
            nodes.append(node)
            rules.append(allow(node["type"], node["major"], node["minor"], access))
    return nodes, rules


def host_devices(dev: Path = Path("/dev")) -> list[Rule]:
    """Every device node of the host, for a privileged container."""
    nodes = []
    for folder, folders, files in os.walk(dev):
        if Path(folder) == dev:
            folders[:] = [name for name in folders if name not in _OWN_DEV]
            files = [name for name in files if name not in _OWN_DEV]
        for name in sorted(files):
            node = node_of(Path(folder, name), str(Path(folder, name)))
            nodes += [node] if node else []
    return nodes


def _nodes(source: Path, target: str) -> Iterator[Rule]:
    target = target or str(source)
    real = source.resolve()
    if not real.is_dir():
        node = node_of(real, target)
        if node:
            yield node
        return
    for path in sorted(real.rglob("*")):
        node = node_of(path, os.path.join(target, path.relative_to(real)))
        if node:
            yield node


def node_of(path: Path, target: str) -> Rule | None:
    """The node at a path of the host, to be made at `target`; None where there is no device."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        return None
    return {
        "type": kind,
        "path": target,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
