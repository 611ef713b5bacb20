"""Changed files brought into a service's containers, and commands run there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import IO, Protocol

from stackr.errors import NotSupported, StackrError
from stackr.runtime.container import ExecConfig
from stackr.runtime.protocol import Runtime, SupportsExec, SupportsFiles
from stackr.runtime.types import ContainerState
from stackr.spec.model.service import Hook
from stackr.stack.local_files import add_path, open_archive
from stackr.stack.thread_streams import produced

__all__ = ["WatchRuntime", "run_hook", "sync", "with_files"]

_ARGUMENTS_BYTES = 64 * 1024


class WatchRuntime(Runtime, SupportsFiles, SupportsExec, Protocol):
    """An engine that takes files and runs commands."""


def with_files(runtime: Runtime) -> WatchRuntime:
    """The same runtime, as one that does both. Raises NotSupported if it does not."""
    if not isinstance(runtime, SupportsFiles):
        raise NotSupported("watch: this engine takes no files")
    if not isinstance(runtime, SupportsExec):
        raise NotSupported("watch: this engine runs no commands")
    return runtime


async def sync(
    runtime: WatchRuntime, containers: Iterable[ContainerState], files: Mapping[str, Path]
) -> None:
    """Copy files into containers, and remove there what is gone here.

    files: path in the container -> path here. What is written belongs to the container's user.
    Raises StackrError for the first container where that failed, when all have been tried.
    """
    there = {inside: path for inside, path in files.items() if os.path.lexists(path)}
    gone = _topmost(inside for inside in files if inside not in there and inside != "/")
    outcomes = await asyncio.gather(
        *(_sync_one(runtime, container, there, gone) for container in containers),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _sync_one(
    runtime: WatchRuntime,
    container: ContainerState,
    there: Mapping[str, Path],
    gone: Sequence[str],
) -> None:
    try:
        for paths in _portions(gone):
            await _remove(runtime, container, paths)
        if there:
            await _copy(runtime, container, there)
    except (StackrError, OSError) as error:
        raise StackrError(f"{container.name}: {error}") from error


async def _remove(runtime: SupportsExec, container: ContainerState, paths: Sequence[str]) -> None:
    """As root, by whom the archive API writes as well; else as the container's own user."""
    said = bytearray()

    def hear(stream: str, data: bytes) -> None:
        said.extend(data)

    code = 0
    for user in ("0", ""):
        said.clear()
        config = ExecConfig(("rm", "-rf", "--", *paths), user=user)
        code = await _execute(runtime, container.id, config, hear)
        if not code:
            return
    words = said.decode(errors="replace").strip().splitlines()
    raise StackrError(
        f"rm -rf {' '.join(paths[:3])} exited with code {code}: {' '.join(words[:1])}"
    )


async def _copy(
    runtime: SupportsFiles, container: ContainerState, files: Mapping[str, Path]
) -> None:
    def write(output: IO[bytes]) -> None:
        with open_archive(output) as archive:
            for inside, path in files.items():
                if inside != "/":
                    add_path(archive, path, inside.lstrip("/"))

    async with aclosing(produced(write)) as chunks:
        await runtime.put_archive(container.id, "/", chunks, as_user=True, replace=True)


def _topmost(paths: Iterable[str]) -> list[str]:
    """Without what is below another one."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: f"{path}/"):
        if not kept or not path.startswith(f"{kept[-1]}/"):
            kept.append(path)
    return kept


def _portions(paths: Sequence[str]) -> Iterator[list[str]]:
    """Not more at once than a command line holds."""
    portion: list[str] = []
    size = 0
    for path in paths:
        size += len(path.encode(errors="surrogateescape")) + 1
        if portion and size > _ARGUMENTS_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(path)
    if portion:
        yield portion


async def run_hook(
    runtime: SupportsExec,
    container: ContainerState,
    hook: Hook,
    hear: Callable[[str, bytes], None],
) -> int:
    """Run a rule's command in a container; its exit code. hear: gets what it writes."""
    environment = tuple(
        f"{key}={value}" for key, value in hook.environment.items() if value is not None
    )
    config = ExecConfig(
        hook.command or (),
        environment=environment,
        user=hook.user or "",
        working_dir=hook.working_dir or "",
        privileged=hook.privileged,
    )
    return await _execute(runtime, container.id, config, hear)


async def _execute(
    runtime: SupportsExec, ref: str, config: ExecConfig, hear: Callable[[str, bytes], None]
) -> int:
    program = await runtime.exec(ref, config)
    try:
        async for stream, data in program.output():
            hear(stream, data)
        return await program.exit_code()
    finally:
        await program.close()
