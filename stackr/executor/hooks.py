"""Runs a lifecycle hook: a command in the container, whose failure is the operation's."""

from __future__ import annotations

from stackr.errors import Conflict, NotSupported
from stackr.planner.plan.payloads import RunHook
from stackr.runtime.container import ExecConfig
from stackr.runtime.protocol import Runtime, SupportsExec

__all__ = ["run_hook"]

_OUTPUT_SHOWN = 400
_OUTPUT_KEPT = 1 << 16


async def run_hook(runtime: Runtime, payload: RunHook) -> None:
    """Raises Conflict, with the last of its output, for a command that does not succeed."""
    if not isinstance(runtime, SupportsExec):
        raise NotSupported("hooks: this engine runs no commands in containers")
    config = ExecConfig(
        payload.command,
        environment=payload.environment,
        user=payload.user,
        working_dir=payload.working_dir,
        privileged=payload.privileged,
    )
    session = await runtime.exec(payload.ref, config)
    said = b""
    try:
        async for _, data in session.output():
            said = (said + data)[-_OUTPUT_KEPT:]
        code = await session.exit_code()
    finally:
        await session.close()
    if code:
        output = " ".join(said.decode(errors="replace").split())[-_OUTPUT_SHOWN:]
        shown = f': "{output}"' if output else " with no output"
        raise Conflict(f"hook {' '.join(payload.command)} exited with code {code}{shown}")
