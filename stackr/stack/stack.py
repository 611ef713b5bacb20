"""A stack, as programs use it: load it, and do with it what the command line does."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stackr.errors import StackrError
from stackr.planner.desired.image_build import BuildOptions
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime.types import ContainerState
from stackr.runtime.workloads import Workloads
from stackr.spec.model.project import Project
from stackr.spec.session import LoadOptions
from stackr.stack.blocking import running_loop
from stackr.stack.context import Context
from stackr.stack.events import EnvironmentReady, Report, ignore
from stackr.stack.live import LiveStack
from stackr.stack.live_host import HostStack
from stackr.stack.log_lines import LogLine
from stackr.stack.log_request import LogRequest
from stackr.stack.result import Completed, Result
from stackr.stack.source import Source
from stackr.stack.testenv.blueprint import draw
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.run import environment
from stackr.stack.workloads.live import ClusterStack

__all__ = ["Stack"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stack:
    """One project on one engine. Its methods open the engine, do one thing, and close it again.

    For several things, or in asynchronous code, `open` gives the same as coroutines. source: its
    files, which are read again by each method that needs them. project: as it was loaded; None for
    one of which only the name is known. engine: its name or address; None for STACKR_ENGINE, else
    the embedded one, which is started where it does not run.

    Methods are those of `LiveStack`; `report` is told what happens, on the thread that does it.
    What changes something raises ChangeFailed where it is not all done.
    """

    name: str
    source: Source
    project: Project | None = None
    engine: str | None = None

    @classmethod
    def load(
        cls,
        *files: str | Path,
        project_name: str | None = None,
        project_directory: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        env_files: Sequence[str | Path] = (),
        profiles: Sequence[str] = (),
        engine: str | None = None,
        isolated: bool | str = False,
    ) -> Stack:
        """Read a stack from its files; without any, as the command line finds them.

        env: the variables that the files may use; None for those of this process. isolated: the
        folder's own copy of it, by its usual name or this one, as `up --isolated` has it.
        Raises InvalidProject with everything that is wrong in them.
        """
        options = LoadOptions(
            files=tuple(str(file) for file in files),
            project_directory=str(project_directory) if project_directory else None,
            project_name=project_name,
            profiles=tuple(profiles),
            env_files=tuple(str(file) for file in env_files),
        )
        source = Source(
            options,
            dict(os.environ if env is None else env),
            Path.cwd(),
            isolated=(isolated if isinstance(isolated, str) else "") if isolated else None,
            engine=engine,
        )
        project = source.load()
        return cls(project.name, source, project, engine)

    @classmethod
    def named(cls, name: str, *, engine: str | None = None) -> Stack:
        """A stack whose files are not here: for what works on what exists.

        Raises InvalidProject for what cannot be a project's name.
        """
        source = Source(LoadOptions(project_name=name), dict(os.environ), Path.cwd())
        return cls(source.name(), source, None, engine)

    @contextlib.asynccontextmanager
    async def open(
        self, *, report: Report = ignore, read_only: bool = False, start: bool = True
    ) -> AsyncIterator[LiveStack]:
        """The stack with its engine open.

        read_only: calls that change anything are refused. start: the embedded engine, where it
        does not run; else that is Unavailable.
        """
        context = Context(self.engine, report)
        opened = context.open_either(self.name, read_only=read_only, start=start)
        async with opened as engine:
            facts = (self.source, self.name, self.project, context)
            if isinstance(engine, Workloads):
                yield ClusterStack(*facts, engine)
            else:
                yield HostStack(*facts, engine)

    @contextlib.contextmanager
    def environment(
        self, options: EnvironmentOptions | None = None, *, report: Report = ignore
    ) -> Iterator[EnvironmentReady]:
        """An isolated copy of the stack, ready, which is gone at the end of the block.

        Its `variables` say where everything answers. The engine takes it away where this process
        is killed. Raises EnvironmentNotReady, with nothing left of it.
        """
        blueprint = draw(self.source, self.engine, options or EnvironmentOptions())
        context = Context(self.engine, report)
        with running_loop() as loop, loop.within(environment(context, blueprint)) as ready:
            yield ready

    def diff(self, options: UpOptions | None = None, *, out: str | Path | None = None) -> Plan:
        return self._now(ignore, lambda live: live.diff(options, out=out))

    def up(
        self,
        options: UpOptions | None = None,
        *,
        ttl_s: float | None = None,
        report: Report = ignore,
    ) -> Result:
        return self._now(report, lambda live: live.up(options, ttl_s=ttl_s))

    def apply(
        self, plan: str | Path, *, wait: bool = False, atomic: bool = False, report: Report = ignore
    ) -> Result:
        return self._now(report, lambda live: live.apply(plan, wait=wait, atomic=atomic))

    def rollback(
        self, revision: int | None = None, *, wait: bool = False, report: Report = ignore
    ) -> Result:
        return self._now(report, lambda live: live.rollback(revision, wait=wait))

    def down(self, options: DownOptions | None = None, *, report: Report = ignore) -> Result:
        return self._now(report, lambda live: live.down(options))

    def start(self, *services: str, report: Report = ignore) -> Result:
        return self._now(report, lambda live: live.start(*services))

    def stop(
        self, *services: str, timeout_s: float | None = None, report: Report = ignore
    ) -> Result:
        return self._now(report, lambda live: live.stop(*services, timeout_s=timeout_s))

    def restart(
        self, *services: str, timeout_s: float | None = None, report: Report = ignore
    ) -> Result:
        return self._now(report, lambda live: live.restart(*services, timeout_s=timeout_s))

    def ps(self, services: Sequence[str] = (), *, all: bool = False) -> list[ContainerState]:
        return self._now(ignore, lambda live: live.ps(services, all=all))

    def history(self) -> list[Revision]:
        return self._now(ignore, lambda live: live.history())

    def run(
        self,
        service: str,
        command: Sequence[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        working_dir: str | None = None,
        no_deps: bool = False,
        report: Report = ignore,
    ) -> Completed:
        return self._now(
            report,
            lambda live: live.run(
                service,
                command,
                environment=environment,
                user=user,
                working_dir=working_dir,
                no_deps=no_deps,
            ),
        )

    def exec(
        self,
        service: str,
        command: Sequence[str],
        *,
        index: int | None = None,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        working_dir: str = "",
    ) -> Completed:
        return self._now(
            ignore,
            lambda live: live.exec(
                service,
                command,
                index=index,
                environment=environment,
                user=user,
                working_dir=working_dir,
            ),
        )

    def build(
        self, *services: str, options: BuildOptions | None = None, report: Report = ignore
    ) -> None:
        return self._now(report, lambda live: live.build(*services, options=options))

    def watch(
        self, options: UpOptions | None = None, *, prune: bool = True, report: Report = ignore
    ) -> None:
        return self._now(report, lambda live: live.watch(options, prune=prune))

    def logs(self, request: LogRequest | None = None) -> Generator[LogLine, None, None]:
        with running_loop() as loop, loop.within(self.open(read_only=True)) as live:
            yield from loop.iterate(live.logs(request))

    def _now(self, report: Report, work_on: Callable[[LiveStack], Coroutine[Any, Any, T]]) -> T:
        """Do one thing with the open stack in an event loop of its own."""

        async def work() -> T:
            async with self.open(report=report) as live:
                return await work_on(live)

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work())
        raise StackrError("in asynchronous code, use: async with stack.open() as live")
