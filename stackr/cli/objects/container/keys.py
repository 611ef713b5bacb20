"""The keys that leave a container's terminal: `--detach-keys`, or docker's configuration."""

from __future__ import annotations

from stackr.cli.objects.docker_config import configured
from stackr.cli.streams import DEFAULT_KEYS, parse_detach_keys
from stackr.options import Option

__all__ = ["DETACH_KEYS", "detach_keys"]

DETACH_KEYS = Option(
    "--detach-keys", metavar="KEYS", help="What leaves its terminal: ctrl-p,ctrl-q (default)"
)


def detach_keys(text: str) -> bytes:
    """Their bytes. Raises InvalidArgument."""
    wanted = text or configured("detachKeys")
    return parse_detach_keys(wanted) if wanted else DEFAULT_KEYS
