"""Choose an engine by its name or address, and open it.

`embedded` (the default) is stackr's own, started where it does not run; `docker` is the engine
that the docker CLI would use, and `context://NAME` one of its contexts; `unix://`, `tcp://` and
`ssh://` are addresses. The only importer of back-ends.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from stackr.errors import InvalidArgument, PermissionDenied, Unavailable
from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.context import chosen_address, context_address
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import Capabilities

__all__ = ["connect", "foretold"]

_CONTEXT = "context://"
_STARTED_BY = "up starts it when it is needed; stackr engine start does so at once"


async def connect(
    engine: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    read_only: bool = False,
    start: bool = True,
) -> Runtime:
    """The engine that `engine`, or else `STACKR_ENGINE`, names; the caller closes it.

    start: stackr's own engine where it does not run; else that is Unavailable. read_only: no call
    that changes anything leaves this process; it raises PermissionDenied.

    Raises InvalidArgument for a name that is none, PermissionDenied for anyone but root where
    stackr's own engine has to be started, and Unavailable where nothing answers.
    """
    name = engine or environ.get("STACKR_ENGINE") or "embedded"

    async def opened(address: EngineAddress) -> Runtime:
        return await DockerRuntime.open(Client(address, read_only=read_only), environ)

    if name != "embedded":
        return await opened(_address(name, environ))
    config = EngineConfig.from_environment(environ)
    own = EngineAddress(f"unix://{config.socket}")
    with suppress(Unavailable, PermissionDenied):  # it runs: most commands find it so
        return await opened(own)
    _have_running(config, start=start)
    return await opened(own)


def foretold(engine: str | None = None, environ: Mapping[str, str] = os.environ) -> Capabilities:
    """What is known of an engine before it is asked: of the one that stackr itself starts.

    Of any other, nothing is: what it can beyond the common ground shows once it is open.
    """
    is_own = (engine or environ.get("STACKR_ENGINE") or "embedded") == "embedded"
    return Capabilities(documented_support=is_own)


def _have_running(config: EngineConfig, *, start: bool) -> None:
    """Start stackr's engine where it does not run, or say why it cannot be reached."""
    from stackr.runtime.engine.launch import ensure_running, is_running

    if start:
        ensure_running(config)
    elif not is_running(config):
        raise Unavailable("engine: it does not run", hint=_STARTED_BY)


def _address(engine: str, environ: Mapping[str, str]) -> EngineAddress:
    if engine == "docker":
        return chosen_address(environ)
    if engine.startswith(_CONTEXT) and engine != _CONTEXT:
        return context_address(engine.removeprefix(_CONTEXT), environ)
    if "://" not in engine:
        raise InvalidArgument(
            f'engine "{engine}": unknown',
            hint="name embedded, docker, or an address such as unix:///path/to.sock",
        )
    return EngineAddress.parse(engine, environ)
