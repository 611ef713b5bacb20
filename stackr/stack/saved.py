"""Write a plan to a file, for `stackr apply`."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from pathlib import Path

from stackr import __version__
from stackr.errors import StackrError
from stackr.planner.desired import Desired
from stackr.planner.observed import Observed
from stackr.planner.options import UpOptions
from stackr.planner.plan import Plan
from stackr.planner.saved import saved_plan
from stackr.stack.history import who
from stackr.stack.source import Source

__all__ = ["save_plan"]


def save_plan(
    path: str,
    plan: Plan,
    wanted: Desired,
    observed: Observed,
    up_options: UpOptions,
    source: Source,
) -> None:
    """Write the plan of the stack that `source` names; the file is there whole, or not at all.

    Raises StackrError.
    """
    document = saved_plan(
        plan,
        wanted,
        observed,
        up_options,
        command={
            "files": list(source.options.files),
            "project_name": wanted.project,
            "project_directory": source.options.project_directory,
            "profiles": list(source.options.profiles),
            "env_files": list(source.options.env_files),
        },
        made={"at": round(time.time(), 3), "by": who(), "stackr": __version__},
        key=secrets.token_hex(16),
    )
    _write(Path(path), json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise StackrError(
            f"{path}: cannot save the plan: {(error.strerror or '').lower()}"
        ) from error
