"""A container takes another's place: published ports and names lead to it from one moment on.

What may fail comes first and is undone: ports that the other does not have are bound, and one
transaction of nftables turns the kernel's forwarding. Then the records are written, in one
transaction too. A daemon that is killed before finds the old ones at its next start and forwards by
these; one that is killed after, the new ones. Connections stay where they are: the kernel tracks
its own, and the relay leads only those elsewhere that come later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from stackr.errors import StackrError
from stackr.runtime.engine.linux import conntrack
from stackr.runtime.engine.network.firewall import Forwarding
from stackr.runtime.engine.network.kernel import Host, Kernel
from stackr.runtime.engine.network.ports import Holding, HostPorts, forwardings
from stackr.runtime.engine.network.publisher import Publisher
from stackr.runtime.engine.network.sandbox import Sandbox, SandboxRecord
from stackr.runtime.engine.network.types import ContainerNet, PublishedPort

__all__ = ["Move", "carry_out", "forget_flows", "forwardings_of", "planned_move"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Move:
    """new: of the container that takes over; old: of the one that gives, None for nobody.

    The records are those that both have afterwards; holding: what the new one then holds.
    """

    new: Sandbox
    old: Sandbox | None
    new_record: SandboxRecord
    old_record: SandboxRecord | None
    holding: Holding

    @property
    def before(self) -> set[Forwarding]:
        given = forwardings_of(self.old.record) if self.old else ()
        return {*given, *forwardings_of(self.new.record)}

    @property
    def after(self) -> set[Forwarding]:
        left = forwardings_of(self.old_record) if self.old_record else ()
        return {*left, *forwardings_of(self.new_record)}


def forwardings_of(record: SandboxRecord) -> list[Forwarding]:
    target = record.publishing
    return forwardings(target, record.ports) if target is not None else []


def planned_move(
    new: Sandbox,
    old: Sandbox | None,
    container: ContainerNet,
    host_ports: HostPorts,
    default_host_ip: str,
) -> Move:
    """What the promotion of `container`, as it is to be, comes to; its new ports are bound.

    The old one keeps the ports that the new one does not want, and still has them where it comes
    back. Raises Conflict, with Docker's text, for a port that somebody else has.
    """
    target = new.record.gateway
    holding = Holding()
    if target is not None:
        others = (*new.held, *(old.held if old else ()))
        holding = host_ports.hold(container.ports, target, default_host_ip, others=others)
    new_record = replace(
        new.record.with_names(container.hostname),
        standby=False,
        ports=tuple(port.published for port in holding.ports),
        publisher=target.endpoint_id if target is not None and holding.ports else "",
    )
    old_record = _replaced(old, new_record, holding) if old else None
    return Move(new, old, new_record, old_record, holding)


def _replaced(old: Sandbox, new: SandboxRecord, holding: Holding) -> SandboxRecord:
    taken = {port.key for port in holding.ports}
    left = tuple(port.published for port in old.held if port.key not in taken)
    return replace(old.record.without_names_of(new), standby=True, ports=left)


async def carry_out(
    move: Move, kernel: Kernel, publisher: Publisher, write: Callable[[], None]
) -> None:
    """Do it, or leave everything as it was.

    write: records it, in one transaction, or raises; once it has returned, nothing can fail, nor be
    interrupted by the event loop.
    """
    firewall = kernel.firewall
    try:
        publisher.serve(move.new, move.holding.fresh)
        commands = firewall.remove(forwardings=move.before - move.after)
        commands += firewall.add(forwardings=move.after - move.before)
        await kernel.commit(commands)
        await forget_flows(kernel, (port.published for port in move.holding.fresh))
        write()
    except BaseException:
        await asyncio.shield(_undo(move, kernel, publisher))
        raise
    _take(move, publisher)


async def forget_flows(kernel: Kernel, ports: Iterable[PublishedPort]) -> None:
    """Of UDP clients that come to these ports from a time when they had another holder, or none."""
    udp = {port.host_port for port in ports if port.protocol == "udp"}
    if udp:
        await kernel.call(_forget_flows, udp)


def _forget_flows(_: Host, ports: Collection[int]) -> None:
    conntrack.forget_udp_flows(ports)


async def _undo(move: Move, kernel: Kernel, publisher: Publisher) -> None:
    await publisher.close_ports(move.holding.fresh)
    firewall = kernel.firewall
    commands = firewall.remove(forwardings=move.after - move.before)
    commands += firewall.add(forwardings=move.before - move.after)
    try:
        await kernel.commit(commands)
    except StackrError as error:
        name = move.new.record.container_name
        _log.error("container %s: its promotion is not fully undone: %s", name, error)


def _take(move: Move, publisher: Publisher) -> None:
    """What this process holds follows what is recorded; nothing of it can fail."""
    move.new.record, move.new.held = move.new_record, move.holding.ports
    if move.old is not None and move.old_record is not None:
        taken = {port.key for port in move.holding.ports}
        move.old.record = move.old_record
        move.old.held = tuple(port for port in move.old.held if port.key not in taken)
    fresh = {port.key for port in move.holding.fresh}
    publisher.lead(move.new, [port for port in move.new.held if port.key not in fresh])
