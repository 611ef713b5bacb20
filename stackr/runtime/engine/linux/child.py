"""Processes of stackr's own code beside the daemon, each with one job.

Its program is a module with `main(arguments)`. Python is started without site and environment, so
that it costs little, and imports nothing but the standard library and stackr.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import stackr
from stackr.errors import Internal

__all__ = ["ENVIRONMENT", "child_argv", "run_child"]

ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "2097152",
    "MALLOC_TRIM_THRESHOLD_": "4194304",
}
"""Buffers stay in the heap: each would be mapped anew, and the kernel clear its pages each time."""
_CODE: Final = (
    "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[2]);"
    " from {module} import main; main(sys.argv[3:])"
)
_ROOT: Final = str(Path(stackr.__file__).resolve().parent.parent)
_MOST_SHOWN: Final = 500


def child_argv(name: str, module: str, arguments: Sequence[str] = ()) -> list[str]:
    """The command of such a process. name: its mark, by which it is known among all processes."""
    code = _CODE.format(module=module)
    return [sys.executable, "-I", "-S", "-c", code, f"stackr-{name}", _ROOT, *arguments]


async def run_child(
    name: str,
    module: str,
    request: Mapping[str, Any],
    *,
    folder: Path,
    stdin: int = DEVNULL,
    kept: Sequence[int] = (),
    on_report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """The last JSON line that a process answers a request with; those before it are reported.

    The last one has one of the keys done, error and failure. folder: its working directory.
    kept: descriptors that it has under the same numbers. It is killed where the caller is
    cancelled. Raises Internal where it ends without an answer, or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *child_argv(name, module, [json.dumps(request)]),
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env=ENVIRONMENT,
            pass_fds=kept,
        )
    except OSError as error:
        raise Internal(f"{name}: cannot be started: {error.strerror or error}") from error
    try:
        return await _last_answer(name, process, on_report)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())


async def _last_answer(
    name: str, process: Process, on_report: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    async for line in process.stdout:
        answer: dict[str, Any] = json.loads(line)
        if answer.keys() & {"done", "error", "failure"}:
            await process.wait()
            return answer
        on_report(answer)
    said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    code = await process.wait()
    last = said[-1][:_MOST_SHOWN] if said else "no output"
    raise Internal(f"{name}: exit code {code}: {last}")
