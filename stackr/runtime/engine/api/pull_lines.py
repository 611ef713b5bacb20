"""A pull's progress as Docker's JSON lines."""

from __future__ import annotations

from typing import Any

from stackr.runtime.engine.image.progress import PullProgress

__all__ = ["progress_line"]


def progress_line(progress: PullProgress) -> dict[str, Any]:
    line: dict[str, Any] = {"status": progress.status}
    if progress.id is not None:
        line["id"] = progress.id
        line["progressDetail"] = {}
    if progress.current is not None:
        line["progressDetail"] = {"current": progress.current, "total": progress.total}
    return line
