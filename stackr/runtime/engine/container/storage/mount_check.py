"""What the OCI runtime has mounted in a container's /proc, before its program begins.

Targets are refused by their names when a container is created; but a symlink in the image or in a
volume can lead a harmless name there, and crun follows it. Source: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.proc_targets import PROC, PROC_FILES, proc_refusal

__all__ = ["check_mounted"]

_ESCAPED = re.compile(r"\\([0-7]{3})")


def check_mounted(container: Container, config: Mapping[str, Any], pid: int) -> None:
    """Raise InvalidArgument for a mount that hides something of /proc.

    config: the `config.json` of its start. pid: of its first process.
    """
    targets = {mount.destination for mount in container.mounts}
    if not targets or PROC in targets:
        return
    linux = config["linux"]
    covered = PROC_FILES.union(linux["maskedPaths"])
    own = {PROC, *linux["readonlyPaths"]}  # of /proc itself, mounted again
    points = dict(mount_points(Path(f"/proc/{pid}/mountinfo").read_text()))
    for point, kind in points.items():
        is_inside = point == PROC or point.startswith(f"{PROC}/")
        if is_inside and point not in covered and not (point in own and kind == "proc"):
            blamed = min(targets - points.keys(), default=point)
            why = proc_refusal(point, is_bind=False)
            raise InvalidArgument(why if blamed == point else f'"{blamed}" leads to {why}')


def mount_points(text: str) -> Iterator[tuple[str, str]]:
    """(path, file system's type) of each line of a mountinfo; of a path's mounts, the last hides
    the others."""
    for line in text.splitlines():
        fields, _, source = line.partition(" - ")
        yield _ESCAPED.sub(_unescaped, fields.split(" ")[4]), source.partition(" ")[0]


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
