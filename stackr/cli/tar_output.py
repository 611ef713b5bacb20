"""Where a tar archive goes that an engine sends: to a file, whole or not at all, or to stdout."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from stackr.errors import InvalidArgument, StackrError

__all__ = ["refuse_terminal", "to_file", "to_output", "to_stdout"]


def refuse_terminal(output: str) -> None:
    """Raises InvalidArgument, as docker, where no file is named and stdout is a terminal."""
    if not output and sys.stdout.isatty():
        raise InvalidArgument(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect"
        )


async def to_output(chunks: AsyncIterator[bytes], output: str, command: str) -> None:
    """output: the file, "" for stdout. command: for messages."""
    if output:
        await to_file(chunks, Path(output), command)
    else:
        await to_stdout(chunks)


async def to_stdout(chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


async def to_file(chunks: AsyncIterator[bytes], path: Path, command: str) -> None:
    """The whole of it, or nothing: it is written beside, then renamed. command: for messages."""
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise InvalidArgument(f"{command}: {path}: not a regular file")
        fd, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(fd, "wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
            os.replace(beside, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
    except OSError as error:
        raise StackrError(f"{command}: {path}: {(error.strerror or str(error)).lower()}") from error
