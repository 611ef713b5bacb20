"""Choose an engine by its name or address, and open it.

`embedded` (the default) is stackr's own, started where it does not run; `docker` is the engine
that the docker CLI would use, and `context://NAME` one of its contexts; `unix://`, `tcp://` and
`ssh://` are addresses. An engine that manages a Swarm is that Swarm where a stack is concerned;
`swarm+` before a name or an address says so, `docker+` that its own containers are meant. The only
importer of back-ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import cast

from stackr.errors import Conflict, InvalidArgument, NotSupported, PermissionDenied, Unavailable
from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.docker.context import chosen_address, context_address
from stackr.runtime.docker.runtime import DockerRuntime, capabilities_of
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine_names import (
    DOCKER,
    EMBEDDED,
    cluster_kind,
    engine_named,
    of_containers,
    plain,
)
from stackr.runtime.labels import PROJECT, STACK_NAMESPACE
from stackr.runtime.protocol import Runtime
from stackr.runtime.swarm.role import is_manager
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.runtime.types import Capabilities
from stackr.runtime.workloads import Workloads

__all__ = ["address_of", "connect", "connect_either", "foretold"]

_CONTEXT = "context://"


async def connect(
    engine: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    read_only: bool = False,
    start: bool = True,
) -> Runtime:
    """The engine that `engine`, or else `STACKR_ENGINE`, names; the caller closes it.

    start: stackr's own engine where it does not run; else that is Unavailable. read_only: no call
    that changes anything leaves this process; it raises PermissionDenied. For these, an engine that
    does not run and has nothing but images is not started: a `RestingRuntime` stands for it.

    Raises InvalidArgument for a name that is none, PermissionDenied for anyone but root where
    stackr's own engine has to be started, Unavailable where nothing answers, and NotSupported for
    what is called a Swarm.
    """
    name = engine_named(engine, environ)
    if cluster_kind(name):
        raise NotSupported(
            f'engine "{name}": this is done on the containers of one engine, not on a Swarm',
            hint=f"name the engine of a node: {plain(name)}",
        )

    async def opened(address: EngineAddress) -> Runtime:
        return await DockerRuntime.open(Client(address, read_only=read_only), environ)

    if name != EMBEDDED:
        return await opened(_address(name, environ))
    config = EngineConfig.from_environment(environ)
    own = EngineAddress(f"unix://{config.socket}")
    with suppress(Unavailable, PermissionDenied):  # it runs: most commands find it so
        return await opened(own)

    async def started() -> Runtime:
        _have_running(config, start=start)
        return await opened(own)

    return (_resting(config, started) if read_only and start else None) or await started()


def _resting(config: EngineConfig, wake: Callable[[], Awaitable[Runtime]]) -> Runtime | None:
    """For an engine that does not run and has nothing to tell; None for any other."""
    # Records and versions of the engine, which commands need where it does not run.
    from stackr.runtime.engine.at_rest import at_rest
    from stackr.runtime.engine.version import API_VERSION, CAPABILITIES
    from stackr.runtime.resting import RestingRuntime

    rest = at_rest(config)
    if rest is None:
        return None
    can = replace(capabilities_of(API_VERSION, CAPABILITIES), at_rest=True)
    resting = RestingRuntime(rest, can, wake)
    return cast(Runtime, resting)  # calls that change anything are none of a reader's


async def connect_either(
    engine: str | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    project: str = "",
    observed: bool = False,
    read_only: bool = False,
    start: bool = True,
) -> Runtime | Workloads:
    """The engine of containers, or the Swarm, that `connect`'s name leads to; the caller closes it.

    project: for which it is wanted. observed: it is looked at next, and on a Swarm asked for
    already. Raises as `connect`; and Conflict where an engine manages a
    Swarm, nobody said whether that is meant, and a project of the name runs on it as containers.
    """
    name = engine_named(engine, environ)
    if of_containers(name):
        return await connect(name, environ, read_only=read_only, start=start)
    client = Client(_address(name, environ), read_only=read_only)
    try:
        soon = project if observed else ""
        if cluster_kind(name):
            return await SwarmWorkloads.open(client, environ, next_observed=soon)
        return await _told_apart(client, name, project, environ, soon)
    except BaseException:
        await client.close()
        raise


async def _told_apart(
    client: Client, name: str, project: str, environ: Mapping[str, str], next_observed: str
) -> Runtime | Workloads:
    """By what the engine is. name: as it was given."""
    if not await is_manager(client):
        return await DockerRuntime.open(client, environ)
    opening = SwarmWorkloads.open(client, environ, next_observed=next_observed)
    if not project:
        return await opening
    is_taken, swarm = await asyncio.gather(_has_containers(client, project, environ), opening)
    if is_taken:
        await swarm.close()
        raise Conflict(
            f'engine "{name}": "{project}" runs on it as containers of one host,'
            " and it manages a Swarm",
            hint=f"say which is meant: --engine docker+{name} or --engine swarm+{name}",
        )
    return swarm


async def _has_containers(client: Client, project: str, environ: Mapping[str, str]) -> bool:
    """Whether there are any that are not the Swarm's."""
    runtime = await DockerRuntime.open(client, environ)
    found = await runtime.list_containers(labels=[f"{PROJECT}={project}"])
    return any(STACK_NAMESPACE not in container.labels for container in found)


def address_of(engine: str | None = None, environ: Mapping[str, str] = os.environ) -> EngineAddress:
    """Of the engine that `engine`, or else `STACKR_ENGINE`, names; nothing is started.

    Raises InvalidArgument for a name that is none, Unavailable for stackr's own where none runs.
    """
    name = engine_named(engine, environ)
    if name != EMBEDDED:
        return _address(name, environ)
    config = EngineConfig.from_environment(environ)
    _have_running(config, start=False)
    return EngineAddress(f"unix://{config.socket}")


def foretold(engine: str | None = None, environ: Mapping[str, str] = os.environ) -> Capabilities:
    """What is known of an engine before it is asked: of the one that stackr itself starts.

    Of any other, nothing is: what it can beyond the common ground shows once it is open.
    """
    return Capabilities(documented_support=engine_named(engine, environ) == EMBEDDED)


def _have_running(config: EngineConfig, *, start: bool) -> None:
    """Start stackr's engine where it does not run, or say why it cannot be reached."""
    from stackr.runtime.engine.launch import ensure_running, is_running

    if start:
        ensure_running(config)
    elif not is_running(config):
        from stackr.runtime.resting import STARTED_BY

        raise Unavailable("engine: it does not run", hint=STARTED_BY)


def _address(engine: str, environ: Mapping[str, str]) -> EngineAddress:
    engine = plain(engine)
    if engine == DOCKER:
        return chosen_address(environ)
    if engine.startswith(_CONTEXT) and engine != _CONTEXT:
        return context_address(engine.removeprefix(_CONTEXT), environ)
    if "://" not in engine:
        raise InvalidArgument(
            f'engine "{engine}": unknown',
            hint="name embedded, docker, swarm, or an address such as unix:///path/to.sock",
        )
    return EngineAddress.parse(engine, environ)
