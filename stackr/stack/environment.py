"""A test environment as programs and tests use it: where it answers, its output, commands in it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from stackr.errors import InvalidArgument, NotFound
from stackr.stack.events import EnvironmentFailed, EnvironmentReady, Report, StackEvent, ignore
from stackr.stack.log_request import LogRequest
from stackr.stack.result import Completed
from stackr.stack.stack import Stack
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.run import EnvironmentNotReady
from stackr.stack.testenv.summary import findings_lines
from stackr.stack.testenv.variables import Address, Member

__all__ = ["Environment"]


class Environment:
    """An isolated copy of a stack, from the start of a `with` block to its end.

        with stackr.Environment("stack.yml", publish=("db:5432",)) as env:
            urlopen(env.url("web", 80))

    options: all that `stackr test` has; the other parameters are added to it. engine, profiles,
    env: as for `Stack.load`. Raises InvalidProject where it is made, and EnvironmentNotReady at the
    start of the block, with what is known of the failure in its notes.
    """

    def __init__(
        self,
        *files: str | Path,
        services: Sequence[str] = (),
        publish: Sequence[str] = (),
        scale: Mapping[str, int] | None = None,
        profiles: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        engine: str | None = None,
        options: EnvironmentOptions | None = None,
        report: Report = ignore,
    ) -> None:
        given = options or EnvironmentOptions()
        self._options = replace(
            given,
            services=(*given.services, *services),
            publish=(*given.publish, *publish),
            scale={**given.scale, **(scale or {})},
        )
        self._stack = Stack.load(*files, profiles=profiles, env=env, engine=engine)
        self._engine = engine
        self._report = report
        self._failure: list[str] = []
        self._exit = contextlib.ExitStack()
        self._ready: EnvironmentReady | None = None

    def __enter__(self) -> Environment:
        block = self._stack.environment(self._options, report=self._note)
        try:
            self._ready = self._exit.enter_context(block)
        except EnvironmentNotReady as error:
            error.add_note("\n".join(self._failure))
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ready = None
        self._exit.__exit__(kind, error, traceback)

    def _note(self, event: StackEvent, /) -> None:
        if isinstance(event, EnvironmentFailed):
            self._failure = list(findings_lines(event.findings, artifacts=event.artifacts))
        self._report(event)

    @property
    def ready(self) -> EnvironmentReady:
        """Raises InvalidArgument outside of the block."""
        if self._ready is None:
            raise InvalidArgument("the environment is not up: it is so within its `with` block")
        return self._ready

    @property
    def name(self) -> str:
        """The project's name."""
        return self.ready.project

    @property
    def variables(self) -> Mapping[str, str]:
        """What `stackr test` tells its command: STACKR_WEB_80_URL and so on."""
        return self.ready.variables

    @property
    def containers(self) -> Sequence[Member]:
        """All of them, with their state, addresses and ports."""
        return self.ready.members

    def address(
        self, service: str, port: int, *, number: int = 1, protocol: str = "tcp"
    ) -> Address:
        """Where a port of a service's container answers: `host`, `port`, `text`, `url`.

        Raises NotFound where it is not published, or there is no such container.
        """
        members = [each for each in self.containers if each.service == service]
        if not members:
            raise NotFound(f"no such service: {service}")
        for each in members:
            for found in each.ports if each.number == number else ():
                if (found.container_port, found.protocol) == (port, protocol):
                    return found
        raise NotFound(
            f'service "{service}": its port {port}/{protocol} is not published',
            hint=f'publish=("{service}:{port}",) does so for a test',
        )

    def url(self, service: str, port: int, *, number: int = 1) -> str:
        """`http://127.0.0.1:20123`; raises as `address` does."""
        return self.address(service, port, number=number).url

    def exec(
        self,
        service: str,
        command: Sequence[str],
        *,
        number: int | None = None,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        working_dir: str = "",
    ) -> Completed:
        """Run a command in a container: its exit code, stdout and stderr. A code is no error."""
        return self._live.exec(
            service,
            command,
            index=number,
            environment=environment,
            user=user,
            working_dir=working_dir,
        )

    def logs(
        self, *services: str, tail: int | None = None, since: float | None = None
    ) -> list[str]:
        """The output of containers, a line each: `web-1  | text`, in the order of their times.

        since: Unix seconds.
        """
        request = LogRequest(services=services, tail=tail, since=since)
        lines = self._live.logs(request)
        return [f"{line.container.removeprefix(f'{self.name}-')}  | {line.text}" for line in lines]

    @property
    def _live(self) -> Stack:
        return Stack.named(self.name, engine=self._engine)
