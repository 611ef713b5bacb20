"""The processes of a container, as ps(1) shows them. Source: Docker's `docker top`."""

from __future__ import annotations

from collections.abc import Collection

from stackr.errors import Internal
from stackr.runtime.engine.linux.command import CommandError, run

__all__ = ["process_table"]

_DEFAULT = "-ef"


async def process_table(pids: Collection[int], arguments: str) -> tuple[list[str], list[list[str]]]:
    """Titles, and a row for each of `pids`; the last column takes the rest of its line.

    arguments: of ps, "" for "-ef". Raises Internal, as dockerd does, where they give no PID column,
    and where ps refuses them.
    """
    output = await _shown(["ps", *(arguments.split() or [_DEFAULT])], pids)
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise Internal("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return titles, [row for row in rows if _pid(row, column) in pids]


async def _shown(command: list[str], pids: Collection[int]) -> str:
    """By itself ps chooses few processes of its own user's, unless it is told which."""
    try:
        return await run([*command, "-q" + ",".join(map(str, pids))])
    except CommandError:
        pass  # some options cannot be used together with -q
    try:
        return await run(command)
    except CommandError as error:
        raise Internal(f"ps: {error.output.partition(chr(10))[0]}") from error


def _pid(row: list[str], column: int) -> int:
    return int(row[column]) if len(row) > column and row[column].isdecimal() else 0
