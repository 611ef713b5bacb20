"""Whether what is mounted below a path is seen elsewhere. Source: mount_namespaces(7); proc(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from stackr.errors import Internal

__all__ = ["SHARED", "check_shared"]

SHARED: Final = ("shared", "rshared")
_TABLE: Final = Path("/proc/self/mountinfo")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def check_shared(source: str, table: Path = _TABLE) -> None:
    """Raise Internal, with Docker's text, where mounts below `source` go nowhere."""
    path = os.path.realpath(source)
    point, optional = "/", ""
    for line in table.read_text().splitlines():
        fields = line.split(" ")
        found = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        is_above = path == found or path.startswith(found.rstrip("/") + "/")
        if is_above and len(found) >= len(point):
            point, optional = found, " ".join(fields[6 : fields.index("-")])
    if "shared:" not in optional:
        raise Internal(f"path {source} is mounted on {point} but it is not a shared mount")
