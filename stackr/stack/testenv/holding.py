"""Who sees to it that an environment goes: the engine, by a lease of this process, or else we."""

from __future__ import annotations

import time
from dataclasses import replace

from stackr.errors import InvalidArgument, NotSupported, Unavailable
from stackr.runtime.leases import (
    Lease,
    LeaseRequest,
    Removed,
    create_lease,
    disown_lease,
    release_lease,
    renew_lease,
)
from stackr.runtime.protocol import Runtime
from stackr.stack.address import is_of_this_machine
from stackr.stack.context import Context
from stackr.stack.testenv.blueprint import Blueprint
from stackr.stack.testenv.removal import raw, remove_environment

__all__ = ["Holding"]


class Holding:
    """The lease of one environment; `lease` is None on an engine that has none."""

    def __init__(self, context: Context, runtime: Runtime, blueprint: Blueprint) -> None:
        self._context = context
        self._runtime = runtime
        self._blueprint = blueprint
        self._arguments = blueprint.arguments
        self.lease: Lease | None = None

    async def take(self) -> Lease | None:
        """Before anything is made. Raises Conflict where no host port is free."""
        name, arguments = self._blueprint.name, self._arguments
        request = LeaseRequest(
            project=name,
            stack=self._blueprint.stack,
            ttl_s=arguments.ttl_s,
            volumes=True,
            stop_timeout_s=arguments.stop_timeout_s,
            watch_owner=self._is_watched,
            ports=self._blueprint.wishes,
        )
        try:
            self.lease = await create_lease(raw(self._runtime), request)
        except NotSupported:
            self._context.warning(
                "this engine has no leases: if stackr itself is killed, the environment stays until"
                f" stackr down -v -p {name}{self._engine_option}"
            )
        except InvalidArgument as error:
            if not request.watch_owner or "cannot be watched" not in error.message:
                raise
            request = replace(request, watch_owner=False)
            self.lease = await create_lease(raw(self._runtime), request)
        if self.lease is not None and not request.watch_owner:
            self._context.warning(
                "the engine cannot watch this process: if stackr itself is killed, the environment"
                f" stays until {self.lease.expires or f'stackr down -v -p {name}'}"
            )
        return self.lease

    @property
    def _is_watched(self) -> bool:
        """Over ssh or TCP, it is not this process that the engine sees."""
        return is_of_this_machine(self._context.engine)

    @property
    def _engine_option(self) -> str:
        engine = self._context.engine
        return f" --engine {engine}" if engine else ""

    async def keep(self) -> None:
        """Leave the environment up, and say until when and how to remove it."""
        name, arguments = self._blueprint.name, self._arguments
        until = ""
        if self.lease is not None:
            runtime = raw(self._runtime)
            if arguments.is_ttl_given and arguments.ttl_s is not None:
                lease = await renew_lease(runtime, self.lease.id, arguments.ttl_s)
                await disown_lease(runtime, lease.id)
                until = f" until {lease.expires}"
            else:
                await release_lease(runtime, self.lease.id)
        self._context.message(
            f"{name}: kept{until}; to remove it: stackr down -v -p {name}{self._engine_option}"
        )

    async def remove(self) -> None:
        """An engine that was stopped meanwhile is started again, and knows what is to be done."""
        start = time.monotonic()
        try:
            removed = await self._remove(self._runtime)
        except Unavailable:
            async with self._context.open() as runtime:
                removed = await self._remove(runtime)
        took_s = time.monotonic() - start
        self._context.message(
            f"{self._blueprint.name}: removed in {took_s:.1f} s ({_counted(removed)})"
        )

    async def _remove(self, runtime: Runtime) -> Removed:
        grace_s = self._arguments.stop_timeout_s
        return await remove_environment(
            runtime, self._blueprint.name, self.lease, stop_timeout_s=grace_s
        )


def _counted(removed: Removed) -> str:
    counts = (
        ("container", removed.containers),
        ("network", removed.networks),
        ("volume", removed.volumes),
    )
    return ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts)
