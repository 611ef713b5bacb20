"""Compiled system call filters, kept so that crun need not compile the same one at every start.

Compiling Docker's default profile takes crun 12 ms, more than all else that it does. The kernel's
own form of a filter is in its state folder after a create; given back as an annotation, it is used
as it is. The profile stays in config.json beside it, for a crun that does not know the annotation.
Source: crun(1), `run.oci.seccomp_bpf_data`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["CompiledFilters"]

_ANNOTATION = "run.oci.seccomp_bpf_data"
_FILE = "seccomp.bpf"


class CompiledFilters:
    """Filters by what they were compiled from, in memory: a new daemon or crun compiles anew."""

    def __init__(self) -> None:
        self._filters: dict[str, str] = {}

    def apply(self, config: dict[str, Any]) -> None:
        """Put the compiled form of the config's filter into it, where there is one."""
        compiled = self._filters.get(_key(config))
        if compiled is not None:
            config["annotations"] = {**config.get("annotations", {}), _ANNOTATION: compiled}

    def learn(self, config: dict[str, Any], state: Path) -> None:
        """Keep what crun compiled for the container whose state is in this folder."""
        key = _key(config)
        if key and key not in self._filters:
            with suppress(OSError):
                self._filters[key] = base64.b64encode((state / _FILE).read_bytes()).decode()


def _key(config: dict[str, Any]) -> str:
    profile = config["linux"].get("seccomp")
    return hashlib.sha256(json.dumps(profile).encode()).hexdigest() if profile else ""
