"""What one wants to know once a stack is up: where it answers, and what has ended right away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from stackr.errors import StackrError
from stackr.planner.plan.model import Action, Plan
from stackr.runtime import labels
from stackr.runtime.protocol import Runtime, SupportsLogs
from stackr.runtime.types import ContainerState
from stackr.stack.address import engine_host
from stackr.stack.containers import display_name, list_containers
from stackr.stack.testenv.variables import Address, reached_from

__all__ = ["EARLY_S", "Arrival", "Ended", "arrival"]

EARLY_S = 1.0
"""How long after the last start an end counts as one right away."""
_POLL_S = 0.2
_LOG_LINES = 10
_LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Ended:
    """A container that ended with an error. is_restarting: its policy brings it back.

    log: its last lines.
    """

    name: str
    code: int
    is_restarting: bool
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """urls: a container's short name with the address of each published port."""

    project: str
    urls: tuple[tuple[str, str], ...]
    ended: tuple[Ended, ...] = ()


async def arrival(
    runtime: Runtime, plan: Plan, *, engine: str | None = None, patience_s: float = 0
) -> Arrival:
    """Look at the project after its plan is carried out.

    patience_s: for how long it is watched for what ends with an error; whatever the plan has
    waited for is not watched. Raises StackrError where the engine does not answer.
    """
    started = _unwatched(plan)
    deadline = time.monotonic() + (patience_s if started else 0)
    while True:
        containers = await list_containers(runtime, plan.project, all=True)
        failed = [each for each in containers if each.name in started and _has_failed(each)]
        left_s = deadline - time.monotonic()
        if failed or left_s <= 0:
            break
        await asyncio.sleep(min(_POLL_S, left_s))
    ended = await asyncio.gather(*(_ended(runtime, each) for each in failed))
    return Arrival(plan.project, tuple(_urls(containers, engine_host(engine))), tuple(ended))


def _unwatched(plan: Plan) -> set[str]:
    """The containers that the plan has started, and not waited for."""
    started, waited = (
        {each.resource.name for each in plan.operations if each.action is action}
        for action in (Action.START_CONTAINER, Action.WAIT_FOR)
    )
    return started - waited


def _has_failed(container: ContainerState) -> bool:
    if container.state == "restarting":
        return True
    return container.state in ("exited", "dead") and container.exit_code not in (0, None)


async def _ended(runtime: Runtime, container: ContainerState) -> Ended:
    name, is_restarting = container.name, container.state == "restarting"
    log: list[str] = []
    code = container.exit_code or 0
    try:
        code = (await runtime.inspect_container(container.id)).exit_code or code
        if isinstance(runtime, SupportsLogs):
            log = [
                entry.line.decode(errors="replace").rstrip("\r")
                async for entry in runtime.logs(container.id, tail=_LOG_LINES)
            ]
    except StackrError:
        pass  # what can be told is told
    return Ended(name, code, is_restarting, tuple(log))


def _urls(containers: list[ContainerState], host: str) -> Iterator[tuple[str, str]]:
    for container in containers:
        if not container.is_running or container.labels.get(labels.ONEOFF) == "True":
            continue
        ports = [
            Address(port.container_port, port.host_ip, port.host_port, port.protocol)
            for port in container.ports
            if port.host_port
        ]
        seen = {_local(address).url for address in reached_from(host, ports)}
        yield from ((display_name(container), url) for url in sorted(seen))


def _local(address: Address) -> Address:
    """Loopback by its name, as people type it."""
    host = "localhost" if address.host in _LOOPBACK else address.host
    return Address(address.container_port, host, address.port, address.protocol, address.scheme)
