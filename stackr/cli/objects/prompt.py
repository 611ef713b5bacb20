"""Asking before something is removed."""

from __future__ import annotations

import sys

from stackr.options import Option

__all__ = ["FORCE", "is_confirmed"]

FORCE = Option("--force", "-f", help="Do not ask")


def is_confirmed(warning: str) -> bool:
    """Whether the answer on stdin is yes; its end is no."""
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
