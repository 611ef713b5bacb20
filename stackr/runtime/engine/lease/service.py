"""Leases: projects that the engine takes away by itself.

A lease ends when its owner's process ends, when its time runs out, or when it is told to; then
everything of the project is removed. One that nobody owns is over as well when the project's last
container has been removed by others. It is recorded before it is given, and its end before it is
begun, so that a daemon which starts again settles what has ended meanwhile and carries on with the
others. What cannot be removed is tried again until it can.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

from stackr.errors import AlreadyExists, InvalidArgument, NotFound, StackrError
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.lease.clock import LEASE_CLOCK, Deadline, deadline_of
from stackr.runtime.engine.lease.folder import Folder, check_folder, removed
from stackr.runtime.engine.lease.record import (
    LEASE,
    Lease,
    LeasedPort,
    Owner,
    Phase,
    free_instance,
)
from stackr.runtime.engine.lease.removal import PROJECT, Removed, Resources, remove_project
from stackr.runtime.engine.linux.process import Process, boot_id
from stackr.runtime.engine.network.ports import check_protocol
from stackr.runtime.engine.network.reservations import PortRequest
from stackr.runtime.engine.state import State
from stackr.runtime.folders import is_gone

__all__ = ["LeaseSpec", "Leases"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_MOST_PORTS = 4096
_LONGEST_S = 10 * 365 * 86400
_CLOCK_CHECK_S = 600.0
_SETTLE_S = 2.0
_PATIENCE_S = 60.0
_RETRY_S = (1, 5, 15, 60)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseSpec:
    """What is asked for; see `Lease`. ttl_s: None is for ever. ports: without host ports yet."""

    project: str
    stack: str = ""
    ttl_s: float | None = None
    volumes: bool = False
    stop_timeout_s: float = 0
    ports: tuple[LeasedPort, ...] = ()
    folder: Folder | None = None


@dataclass(slots=True)
class _Held:
    """A lease with what this process does for it. done: set once everything has been removed."""

    lease: Lease
    owner: Process | None = None
    deadline: Deadline | None = None
    watch: asyncio.Task[None] | None = None
    ending: asyncio.Task[None] | None = None
    done: asyncio.Future[Removed] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def is_settling(self) -> bool:
        return self.lease.phase is Phase.SETTLING


class Leases:
    """Call `restore` before containers are taken over, and `open` after that."""

    def __init__(self, state: State, events: EventBus, resources: Resources) -> None:
        self._state = state
        self._events = events
        self._resources = resources
        self._reservations = resources.networks.reservations
        self._held: dict[str, _Held] = {}
        self._left_alone: list[Lease] = []
        """Those whose records are of a newer version, as far as they can be read."""
        self._listener: asyncio.Task[None] | None = None

    # --- the engine's life -------------------------------------------------------------------

    def restore(self) -> None:
        """Read the records, and hold the ports again."""
        clocks, leases = self._state.read(LEASE_CLOCK), self._state.read(LEASE)
        left = {**self._state.newer(LEASE), **self._state.newer(LEASE_CLOCK)}
        seen = {**self._state.glimpsed(LEASE), **leases}
        self._left_alone = [seen[id] for id in left if id in seen]
        for lease in leases.values():
            if lease.id in left:
                continue
            deadline = deadline_of(clocks.get(lease.id), lease.expires_ns)
            self._held[lease.id] = _Held(lease, deadline=deadline)
            if lease.phase is not Phase.SETTLING:
                self._reservations.restore(lease.project, [port.held for port in lease.ports])

    def open(self) -> None:
        """Watch the leases that hold, and end the others in the background."""
        self._listener = asyncio.get_running_loop().create_task(self._listen())
        for held in list(self._held.values()):
            lease = held.lease
            if lease.phase is not Phase.HELD:
                self._begin_end(held, "its end was cut off")
                continue
            if lease.owner is not None:
                held.owner = _find(lease.owner)
                if held.owner is None:
                    self._begin_end(held, "its owner has gone")
                    continue
            self._watch(held)

    async def settle(self) -> None:
        """See the removals to their end that were cut off: who uses the project's name next would
        have their work taken away.
        """
        ending = [h.done for h in self._held.values() if h.ending is not None and not h.is_settling]
        if ending:
            await asyncio.wait(ending, timeout=_PATIENCE_S)

    async def close(self) -> None:
        """The next start carries on."""
        running = [t for h in self._held.values() for t in (h.watch, h.ending)]
        tasks = [task for task in (*running, self._listener) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for held in self._held.values():
            held.done.cancel()
            if held.owner is not None:
                held.owner.close()

    # --- leases ------------------------------------------------------------------------------

    def list(self) -> list[Lease]:
        """Those that hold or are ending, by creation."""
        leases = [h.lease for h in self._held.values() if h.lease.phase is not Phase.SETTLING]
        return sorted(leases, key=lambda lease: (lease.created_ns, lease.id))

    def get(self, id: str) -> Lease:
        """Raises NotFound."""
        return self._get(id).lease

    def create(self, spec: LeaseSpec, owner: tuple[Process, int] | None = None) -> Lease:
        """owner: the process whose end ends the lease, and when it started; taken over.

        Raises InvalidArgument, AlreadyExists for a project that has a lease, and Conflict where no
        port is free.
        """
        try:
            lease, deadline = self._create(spec, owner)
        except BaseException:
            if owner is not None:
                owner[0].close()
            raise
        held = self._held[lease.id] = _Held(lease, owner[0] if owner else None, deadline)
        self._watch(held)
        return lease

    def renew(self, id: str, ttl_s: float | None) -> Lease:
        """Count the time from now. Raises NotFound, InvalidArgument; NotFound once it is ending."""
        held = self._holding(id)
        held.deadline = _deadline(ttl_s)
        held.lease = replace(held.lease, expires_ns=_expires_ns(held.deadline))
        self._put(held.lease, held.deadline)
        self._watch(held)
        return held.lease

    def disown(self, id: str) -> Lease:
        """The owner's end does not count any more. Raises NotFound."""
        held = self._holding(id)
        if held.owner is not None:
            held.owner.close()
            held.owner = None
        held.lease = replace(held.lease, owner=None)
        self._put(held.lease, held.deadline)
        self._watch(held)
        return held.lease

    def release(self, id: str) -> None:
        """Give up the lease and its ports, and leave the project as it is. Raises NotFound."""
        held = self._holding(id)
        if held.watch is not None:
            held.watch.cancel()
        self._forget(held)
        self._reservations.release(held.lease.project)
        _log.info("lease %s: %s stays", held.lease.id, held.lease.project)

    async def end(self, id: str, *, stop_timeout_s: float | None = None) -> Removed:
        """Remove everything of the project; what is gone. Raises NotFound.

        Where something cannot be removed, the first error is raised, and the removal is tried
        again in the background.
        """
        held = self._get(id)
        if stop_timeout_s is not None and held.lease.phase is Phase.HELD:
            held.lease = replace(held.lease, stop_timeout_s=stop_timeout_s)
        self._begin_end(held, "asked for")
        return await asyncio.shield(held.done)

    # --- parts of the above ------------------------------------------------------------------

    def _create(
        self, spec: LeaseSpec, owner: tuple[Process, int] | None
    ) -> tuple[Lease, Deadline | None]:
        stack = spec.stack or spec.project
        for name in (spec.project, stack):
            if not _NAME.fullmatch(name):
                raise InvalidArgument(f'lease: "{name}" is not a project\'s name')
        leases = (*(held.lease for held in self._held.values()), *self._left_alone)
        if any(lease.project == spec.project for lease in leases):
            raise AlreadyExists(f'lease: project "{spec.project}" has one already')
        if len(spec.ports) > _MOST_PORTS:
            raise InvalidArgument(f"lease: more than {_MOST_PORTS} ports")
        instance = free_instance([*self.list(), *self._left_alone], stack)
        deadline = _deadline(spec.ttl_s)
        if spec.folder is not None:
            check_folder(spec.folder)
        lease = Lease(
            id=secrets.token_hex(16),
            project=spec.project,
            stack=stack,
            instance=instance,
            created_ns=time.time_ns(),
            expires_ns=_expires_ns(deadline),
            owner=Owner(owner[0].pid, owner[1], boot_id()) if owner else None,
            keep_volumes=self._resources.volume_names(spec.project) if spec.volumes else None,
            stop_timeout_s=spec.stop_timeout_s,
            folder=spec.folder.path if spec.folder else "",
            folder_device=spec.folder.device if spec.folder else 0,
        )
        requests = [_request(port, stack, instance) for port in spec.ports]
        numbers = self._reservations.reserve(spec.project, requests)
        ports = [replace(p, host_port=n) for p, n in zip(spec.ports, numbers, strict=True)]
        lease = replace(lease, ports=tuple(ports))
        try:
            self._state.check_room()
            self._put(lease, deadline)
        except StackrError:
            self._reservations.release(spec.project)
            raise
        return lease, deadline

    def _get(self, id: str) -> _Held:
        held = self._held.get(id)
        if held is None or held.lease.phase is Phase.SETTLING:
            raise NotFound(f"no such lease: {id}")
        return held

    def _holding(self, id: str) -> _Held:
        held = self._get(id)
        if held.lease.phase is not Phase.HELD:
            raise NotFound(f"no such lease: {id}: it is ending")
        return held

    def _put(self, lease: Lease, deadline: Deadline | None) -> None:
        with self._state.transaction():
            self._state.save(LEASE, lease.id, lease)
            if deadline is not None:
                self._state.save(LEASE_CLOCK, lease.id, deadline)

    def _forget(self, held: _Held) -> None:
        with self._state.transaction():
            self._state.delete(LEASE.name, held.lease.id)
            self._state.delete(LEASE_CLOCK.name, held.lease.id)
        self._held.pop(held.lease.id, None)
        if held.owner is not None:
            held.owner.close()
            held.owner = None

    async def _listen(self) -> None:
        async for event in self._events.subscribe():
            if event.type == "container" and event.action == "destroy":
                self._perhaps_over(event.attributes.get(PROJECT, ""))

    def _perhaps_over(self, project: str) -> None:
        """Else a lease would end what is made later under the same name."""
        for held in list(self._held.values()):
            lease = held.lease
            is_free = lease.owner is None and lease.phase is Phase.HELD
            if is_free and lease.project == project and self._resources.is_empty(project):
                self.release(lease.id)

    # --- its end -----------------------------------------------------------------------------

    def _watch(self, held: _Held) -> None:
        if held.watch is not None:
            held.watch.cancel()
        held.watch = asyncio.get_running_loop().create_task(self._until_end(held))

    async def _until_end(self, held: _Held) -> None:
        """Wait for whichever comes first."""
        causes = [asyncio.ensure_future(_expired(held.deadline))]
        if held.owner is not None:
            causes.append(asyncio.ensure_future(_ended(held.owner)))
        if held.lease.folder:
            folder = removed(held.lease.folder, held.lease.folder_device)
            causes.append(asyncio.ensure_future(folder))
        try:
            done, _ = await asyncio.wait(causes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in causes:
                task.cancel()
        self._begin_end(held, min(task.result() for task in done))

    def _begin_end(self, held: _Held, cause: str) -> None:
        if held.ending is not None:
            return
        lease = held.lease
        _log.info("lease %s: everything of %s is removed: %s", lease.id, lease.project, cause)
        if held.watch is not None and held.watch is not asyncio.current_task():
            held.watch.cancel()
        held.ending = asyncio.get_running_loop().create_task(self._end(held))

    async def _end(self, held: _Held) -> None:
        """Remove, until there is nothing; then once more, for what an owner was still making."""
        if held.lease.phase is Phase.HELD:
            held.lease = replace(held.lease, phase=Phase.ENDING)
            with suppress(StackrError):  # a full disk is no reason to keep everything
                self._put(held.lease, held.deadline)
        if held.lease.phase is Phase.ENDING:
            removed = await self._remove_all(held)
            self._reservations.release(held.lease.project)
            held.lease = replace(held.lease, phase=Phase.SETTLING)
            with suppress(StackrError):
                self._put(held.lease, held.deadline)
            if not held.done.done():
                held.done.set_result(removed)
        if held.lease.owner is not None:
            await asyncio.sleep(_SETTLE_S)
            await self._remove_all(held)
        self._forget(held)

    async def _remove_all(self, held: _Held) -> Removed:
        lease = held.lease
        attempt = 0
        while True:
            try:
                return await remove_project(
                    self._resources,
                    lease.project,
                    keep_volumes=_kept_volumes(lease),
                    stop_timeout_s=lease.stop_timeout_s,
                )
            except Exception as error:  # whatever it is, the rest of the project must not stay
                is_known = isinstance(error, (StackrError, OSError))
                text = f"lease {lease.id}: {lease.project}: not all is removed"
                _log.warning("%s: %s", text, error, exc_info=None if is_known else error)
                if not held.done.done():
                    held.done.set_exception(error)
                    held.done.exception()  # nobody may be waiting for it
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1


def _request(port: LeasedPort, stack: str, instance: int) -> PortRequest:
    check_protocol(port.protocol, port.container_port)
    key = f"{stack}/{instance}/{port.service}/{port.number}/{port.container_port}/{port.protocol}"
    return PortRequest(key, port.protocol, port.host_ip)


def _kept_volumes(lease: Lease) -> tuple[str, ...] | None:
    """None stays of a project whose folder is gone: nothing is left that could ask for it."""
    is_gone_too = lease.folder and is_gone(lease.folder, device=lease.folder_device)
    return () if is_gone_too else lease.keep_volumes


def _deadline(ttl_s: float | None) -> Deadline | None:
    if ttl_s is None:
        return None
    if not 0 < ttl_s <= _LONGEST_S:
        raise InvalidArgument(f"lease: ttl_s: {ttl_s:g}: a time of more than 0 s is expected")
    return Deadline.after(ttl_s)


def _expires_ns(deadline: Deadline | None) -> int:
    return deadline.expires_ns if deadline is not None else 0


def _find(owner: Owner) -> Process | None:
    return Process.find(owner.pid, owner.started) if owner.boot_id == boot_id() else None


async def _expired(deadline: Deadline | None) -> str:
    """Looked at from time to time, as a sleep does not go on while the host's does."""
    if deadline is None:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets the event")
    while (left_s := deadline.left_s()) > 0:
        await asyncio.sleep(min(left_s, _CLOCK_CHECK_S))
    return "its time is up"


async def _ended(owner: Process) -> str:
    await owner.ended()
    return f"its owner, process {owner.pid}, has ended"
