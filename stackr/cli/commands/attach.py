"""`stackr attach`: the caller's terminal joined to the program that a container runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.options import options_of
from stackr.cli.replica import on_replica
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.streams import DEFAULT_KEYS, forwarded_signals, join, parse_detach_keys
from stackr.cli.terminal import terminal_size
from stackr.errors import Conflict, NotSupported, StackrError
from stackr.options import Option
from stackr.runtime.protocol import Runtime, Streams, SupportsAttach
from stackr.runtime.types import ContainerState

__all__ = ["attach", "joined"]


@dataclass(frozen=True, slots=True)
class AttachArguments:
    """`stackr attach`."""

    service: Annotated[str, Argument("SERVICE")]
    index: Annotated[int | None, Option("--index", metavar="NUM", help="Which replica")] = None
    stdin: Annotated[bool, Option("--no-stdin", turns_off=True, help="Do not pass stdin on")] = True
    forwards_signals: Annotated[
        bool,
        Option(
            "--sig-proxy/--no-sig-proxy",
            help="Pass signals on to a program without a terminal (default)",
        ),
    ] = True
    detach_keys: Annotated[
        str | None,
        Option(
            "--detach-keys",
            metavar="KEYS",
            help="What leaves its terminal: ctrl-p,ctrl-q (default)",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Raises InvalidArgument for keys that are none."""
        if self.detach_keys:
            parse_detach_keys(self.detach_keys)

    @property
    def keys(self) -> bytes:
        """The bytes of the sequence."""
        return parse_detach_keys(self.detach_keys) if self.detach_keys else DEFAULT_KEYS


@takes(AttachArguments)
def attach(ctx: typer.Context, arguments: AttachArguments) -> int:
    """Join a running container's own streams; exit as it does."""
    options = options_of(ctx)
    source = source_of(options)
    name = source.name()
    source.check_services((arguments.service,))
    with open_session(options) as session:
        return on_replica(
            session,
            name,
            arguments.service,
            arguments.index,
            lambda runtime, container: _attach(session, runtime, container, arguments),
        )


async def _attach(
    session: Session, runtime: Runtime, container: ContainerState, arguments: AttachArguments
) -> int:
    if not isinstance(runtime, SupportsAttach):
        raise NotSupported("attach: this engine does not offer it")
    container = await runtime.inspect_container(container.id)  # a list tells of no terminal
    if container.state in ("paused", "restarting"):
        raise Conflict(f"cannot attach to a {container.state} container: {container.name}")
    if session.is_dry_run:
        session.would(f"attach to {container.name}")
        return 0
    with contextlib.ExitStack() as stack:
        if arguments.forwards_signals and not container.tty:
            stack.enter_context(
                forwarded_signals(lambda name: runtime.kill_container(container.id, signal=name))
            )
        stdin = arguments.stdin and container.open_stdin
        return await joined(session, runtime, container, stdin=stdin, keys=arguments.keys)


async def joined(
    session: Session,
    runtime: SupportsAttach,
    container: ContainerState,
    *,
    stdin: bool,
    keys: bytes,
    left: int = 0,
) -> int:
    """Join a running container on the caller's streams; its exit code.

    keys: those by which the caller leaves it, and then the exit code is `left`.
    """
    async with runtime.ending(container.id, "not-running") as exit_code:
        streams = await runtime.attach(container.id, stdin=stdin)
        try:
            if container.tty:
                await _redraw(streams)
            if await join(streams, tty=container.tty, stdin=stdin, detach_keys=keys):
                session.err.line("read escape sequence")
                return left
        finally:
            await streams.close()
        return await exit_code()


async def _redraw(streams: Streams) -> None:
    """A program draws its screen again when its terminal changes; so it is made to."""
    size = terminal_size()
    if size is not None:
        with contextlib.suppress(StackrError):
            await streams.resize(rows=size[1] + 1, columns=size[0] + 1)
