"""A command in a container, to its end, with all that it writes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from stackr.errors import NotSupported
from stackr.planner.commands.oneoff import OneOff
from stackr.runtime.container import ExecConfig
from stackr.runtime.protocol import Runtime, Streams, SupportsExec
from stackr.runtime.types import ContainerState
from stackr.stack.oneoff import Kill
from stackr.stack.result import Completed

__all__ = ["Output", "exec_config", "execute", "one_off"]


class Output:
    """All that a program writes."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()

    def take(self, stream: str, data: bytes) -> None:
        (self.stderr if stream == "stderr" else self.stdout).extend(data)

    async def hear(self, streams: Streams, kill: Kill) -> bool:
        """As `oneoff.Converse`: to its end."""
        await self.read(streams)
        return False

    async def read(self, streams: Streams) -> None:
        async for stream, data in streams.output():
            self.take(stream, data)

    def completed(self, exit_code: int, container: str) -> Completed:
        return Completed(exit_code, bytes(self.stdout), bytes(self.stderr), container)


def exec_config(
    command: Sequence[str], environment: Mapping[str, str] | None, user: str, working_dir: str
) -> ExecConfig:
    return ExecConfig(
        tuple(command),
        environment=tuple(f"{key}={value}" for key, value in (environment or {}).items()),
        user=user,
        working_dir=working_dir,
    )


def one_off(
    service: str,
    command: Sequence[str] | None,
    environment: Mapping[str, str] | None,
    user: str | None,
    working_dir: str | None,
) -> OneOff:
    """One that is given nothing to read, and is removed at its end; None: the service's own."""
    return OneOff(
        service,
        secrets.token_hex(32),
        command=None if command is None else tuple(command),
        environment=environment or {},
        user=user,
        working_dir=working_dir,
        stdin=False,
        auto_remove=True,
    )


async def execute(runtime: Runtime, container: ContainerState, config: ExecConfig) -> Completed:
    """An exit code is no error. Raises NotSupported where the engine has no such call."""
    if not isinstance(runtime, SupportsExec):
        raise NotSupported("exec: this engine does not offer it")
    output = Output()
    program = await runtime.exec(container.id, config)
    try:
        await output.read(program)
        code = await program.exit_code()
    finally:
        await program.close()
    return output.completed(code, container.name)
