"""Makes the root of the control groups ready for groups with limits below it.

On v2 the kernel shares out what a group has only where that group holds no processes itself; the
host's own root alone is exempt. An engine in a container finds all processes of that container in
its root group, and moves them to a leaf, as Docker's own image for this purpose does.
Source: the kernel's cgroup-v2.rst, "No Internal Process Constraint" and "Delegation".
"""

from __future__ import annotations

import contextlib
import errno
import logging
from pathlib import Path

from stackr.errors import Unavailable
from stackr.runtime.engine.linux.cgroup import Hierarchy

__all__ = ["delegate"]

_log = logging.getLogger(__name__)

_LEAF = "init"
_ATTEMPTS = 20
"""A process that forks while it is moved leaves a child behind."""


def delegate(hierarchy: Hierarchy) -> None:
    """Hand every controller of the root on to the groups below it.

    Raises Unavailable where there are no control groups, and where none can be made.
    """
    root = hierarchy.root
    if not hierarchy.is_v2:
        if not hierarchy.controllers:
            raise Unavailable(
                f"engine: {root}: no control groups are mounted there",
                hint=f"mount -t cgroup2 cgroup2 {root}",
            )
        return
    if not (root / "cgroup.type").exists():
        return  # the host's own root, whose controllers the OCI runtime enables
    missing = _words(root / "cgroup.controllers") - _words(root / "cgroup.subtree_control")
    if missing:
        _empty(root)
    for name in sorted(missing):
        _enable(root, name)


def _words(file: Path) -> set[str]:
    return set(file.read_text().split())


def _empty(root: Path) -> None:
    """Before a controller is handed on: some can be beside processes, and then others cannot."""
    for _ in range(_ATTEMPTS):
        if not _words(root / "cgroup.procs"):
            return
        _move_members(root)
    raise Unavailable(
        f"engine: {root}: no groups with limits can be made in it: it holds processes that cannot"
        " be moved"
    )


def _enable(root: Path, controller: str) -> None:
    try:
        (root / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise _unavailable(root, error) from error
        _log.warning("cgroup %s: no controller %s: %s", root, controller, error.strerror)


def _move_members(root: Path) -> None:
    """Those that end meanwhile are gone; a number that is not seen from here reads 0."""
    leaf = root / _LEAF
    try:
        leaf.mkdir(exist_ok=True)
    except OSError as error:
        raise _unavailable(root, error) from error
    for pid in _words(root / "cgroup.procs") - {"0"}:
        with contextlib.suppress(OSError):
            (leaf / "cgroup.procs").write_text(pid)


def _unavailable(root: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"engine: {root}: no groups can be made in it: {(error.strerror or '').lower()}",
        hint="an engine in a container needs it to be privileged",
    )
