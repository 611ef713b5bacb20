"""The folder of a dossier, and its files, which are whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from stackr.errors import InvalidArgument

__all__ = ["COMMAND_FOLDER", "HIDDEN_LOGS", "claim_folder", "write_whole"]

HIDDEN_LOGS = ".logs-"
"""How the folder begins in which logs are while it is open whether they are wanted."""
COMMAND_FOLDER = "command"
"""What the command itself leaves, which it is told of as STACKR_ARTIFACTS."""
_MARK = ".stackr-test"


def claim_folder(folder: Path, former: Iterable[str]) -> None:
    """Make the folder, and take away what a former run has left there; `former` are patterns.

    Raises InvalidArgument for what cannot be a folder of ours, one with others' files among it.
    """
    mark = folder / _MARK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not mark.exists() and any(folder.iterdir()):
            raise InvalidArgument(
                f"--artifacts: {folder}: there are files of others in it",
                hint="name a new folder, or an empty one; files of former runs are replaced",
            )
        mark.write_text("What stackr test knows of a failure; the next run replaces it.\n")
        for pattern in former:
            for file in folder.glob(pattern):
                file.unlink(missing_ok=True)
        shutil.rmtree(folder / COMMAND_FOLDER, ignore_errors=True)
        (folder / COMMAND_FOLDER).mkdir()
        for hidden in folder.glob(f"{HIDDEN_LOGS}*"):
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise InvalidArgument(f"--artifacts: {folder}: {(error.strerror or '').lower()}") from error


def write_whole(path: Path, text: str) -> None:
    """Replace the file at `path` at once; its folder is made. Leaves nothing where it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        new.write_text(text, encoding="utf-8", errors="replace")
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
