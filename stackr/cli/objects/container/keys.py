"""The keys that leave a container's terminal: `--detach-keys`, or docker's configuration."""

from __future__ import annotations

import os
from pathlib import Path

from stackr.cli.streams import DEFAULT_KEYS, parse_detach_keys
from stackr.options import Option
from stackr.text import parse_json

__all__ = ["DETACH_KEYS", "detach_keys"]

DETACH_KEYS = Option(
    "--detach-keys", metavar="KEYS", help="What leaves its terminal: ctrl-p,ctrl-q (default)"
)


def detach_keys(text: str) -> bytes:
    """Their bytes. Raises InvalidArgument."""
    wanted = text or _configured()
    return parse_detach_keys(wanted) if wanted else DEFAULT_KEYS


def _configured() -> str:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        found = parse_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    keys = found.get("detachKeys") if isinstance(found, dict) else ""
    return keys if isinstance(keys, str) else ""
