"""What `up` would do, made anew whenever a file of the stack or the stack itself has changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stackr.errors import InvalidProject, StackrError
from stackr.planner.plan.model import Plan
from stackr.spec.files import HOST, STDIN
from stackr.stack.source import Source
from stackr.stack.watch.changes import changed_paths
from stackr.ui.feed import Opener, one_line

__all__ = ["Outlook", "PlanWatch", "stack_files"]

_TOGETHER_S = 0.3


@dataclass(frozen=True, slots=True)
class Outlook:
    """What `up` would do, or why nobody can say. problems: of the stack's files, one a line.

    document: with which the plan can be carried out as it was shown; b"" where it cannot. services:
    those that the files enable; None where that cannot be said.
    """

    plan: Plan | None = None
    problems: tuple[str, ...] = ()
    document: bytes = b""
    services: tuple[str, ...] | None = None


class _Noted:
    """The host's files, and the paths that a load has asked for."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.is_folder, self.names, self.real = HOST.is_folder, HOST.names, HOST.real

    def read(self, path: str, most: int) -> bytes:
        self.paths.add(path)
        return HOST.read(path, most)

    def read_file(self, path: str, most: int) -> bytes | None:
        self.paths.add(path)
        return HOST.read_file(path, most)

    def exists(self, path: str) -> bool:
        self.paths.add(path)
        return HOST.exists(path)


def stack_files(source: Source) -> list[Path]:
    """The files that a stack is read from, those that are not there yet included.

    Of one that is wrong, as far as it can be read.
    """
    noted = _Noted()
    with contextlib.suppress(StackrError):
        source.load(files=noted)
    paths = (Path(path) for path in sorted(noted.paths - {STDIN}))
    return [path for path in paths if path.is_absolute() and not path.is_dir()]


@dataclass(slots=True)
class PlanWatch:
    """told: is called with each outlook."""

    source: Source
    opened: Opener
    told: Callable[[Outlook], object]
    _due: asyncio.Event = field(default_factory=asyncio.Event)

    def renew(self) -> None:
        """Make the plan anew: what is there has changed."""
        self._due.set()

    async def run(self) -> None:
        """Until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._plan())

    async def _watch(self) -> None:
        """Follow the files; which ones they are may change with each change."""
        while True:
            files = await asyncio.to_thread(stack_files, self.source)
            async with contextlib.aclosing(changed_paths(files)) as batches:
                async for batch in batches:
                    self._due.set()
                    if batch:
                        break

    async def _plan(self) -> None:
        while True:
            await self._due.wait()
            await asyncio.sleep(_TOGETHER_S)
            self._due.clear()
            self.told(await self._look())

    async def _look(self) -> Outlook:
        services: tuple[str, ...] | None = None
        try:
            declared = self.source.declared()
            services = tuple(sorted(declared.services)) if declared is not None else ()
            async with self.opened() as live:
                plan, document = await live.propose()
        except StackrError as error:
            return Outlook(problems=_problems(error), services=services)
        return Outlook(plan, document=b"" if plan.is_refused else document, services=services)


def _problems(error: StackrError) -> tuple[str, ...]:
    problems = error.problems if isinstance(error, InvalidProject) else ()
    return tuple(map(str, problems)) or (one_line(error),)
