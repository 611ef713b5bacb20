"""Run a program and read its output: the engine's only subprocess call for short commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from stackr.errors import Internal

__all__ = ["CommandError", "run"]

_TAIL = 2000


class CommandError(Internal):
    """A program ended with another exit code than 0; `output` is the end of what it wrote."""

    def __init__(self, argv: Sequence[str], returncode: int, output: str) -> None:
        tail = output.strip()[-_TAIL:]
        super().__init__(f"{argv[0]}: exit code {returncode}: {tail or 'no output'}")
        self.argv = tuple(argv)
        self.returncode = returncode
        self.output = tail


async def run(argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> str:
    """The standard output of `argv`, decoded.

    Raises CommandError for another exit code than 0, and for a program that is missing (127) or did
    not end within `timeout_s` (124, killed).
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise CommandError(argv, 127, str(error)) from error
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin or None), timeout_s)
    except (TimeoutError, asyncio.CancelledError) as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()  # to the pipes' ends, which closes them
        if isinstance(error, TimeoutError):
            raise CommandError(argv, 124, f"did not end within {timeout_s:g} s") from error
        raise
    if process.returncode:
        raise CommandError(argv, process.returncode, (err or out).decode(errors="replace"))
    return out.decode(errors="replace")
