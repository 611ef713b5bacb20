"""A shell in the state before a step of a build that failed; nothing of it stays."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable

from stackr.errors import Conflict, NotFound, NotSupported
from stackr.executor.outcome import Outcome
from stackr.runtime.container import ContainerConfig
from stackr.runtime.image_build import BuildFailed, StateBefore
from stackr.runtime.protocol import Runtime, SupportsAttach
from stackr.stack.oneoff import Converse

__all__ = ["debug_failures", "failed_builds"]


def failed_builds(outcome: Outcome) -> list[BuildFailed]:
    """Those whose state was kept."""
    errors = (failure.error for failure in outcome.failed)
    return [each for each in errors if isinstance(each, BuildFailed) and each.before is not None]


async def debug_failures(
    runtime: Runtime, failures: Iterable[BuildFailed], converse: Converse | None
) -> None:
    """A shell for each, one after the other; all that was kept is removed, however it ends.

    converse: see `run_one_off`; None where nobody is there to converse.
    """
    kept = [each.before for each in failures if each.before is not None]
    try:
        for before in kept if converse is not None else ():
            assert converse is not None
            await _shell(runtime, before, converse)
    finally:
        for before in kept:
            with contextlib.suppress(NotFound, Conflict):
                await runtime.remove_image(before.image)


async def _shell(runtime: Runtime, before: StateBefore, converse: Converse) -> None:
    if not isinstance(runtime, SupportsAttach):
        raise NotSupported("build: --debug: this engine does not offer it")
    config = ContainerConfig(
        image=before.image,
        entrypoint=before.shell,
        command=(),
        environment=before.environment,
        tty=True,
        open_stdin=True,
    )
    ref = await runtime.create_container(f"stackr-debug-{secrets.token_hex(6)}", config)
    try:
        async with runtime.ending(ref) as exit_code:
            streams = await runtime.attach(ref)
            try:
                await runtime.start_container(ref)
                if not await converse(
                    streams, lambda name: runtime.kill_container(ref, signal=name)
                ):
                    await exit_code()
            finally:
                await streams.close()
    finally:
        with contextlib.suppress(NotFound, Conflict):
            await runtime.remove_container(ref, force=True, volumes=True)
