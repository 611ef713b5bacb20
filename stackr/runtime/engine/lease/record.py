"""What is known of a lease: whose it is, until when, and the host ports that are held for it.

Frozen values and their form in the engine's records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum

from stackr.runtime.engine.network.reservations import HostPort
from stackr.runtime.engine.records import Document, Kind, known_fields

__all__ = ["LEASE", "Lease", "LeasedPort", "Owner", "Phase", "free_instance", "lease_from"]


class Phase(Enum):
    """HELD, then ENDING while everything is removed; SETTLING while stragglers may still appear."""

    HELD = "held"
    ENDING = "ending"
    SETTLING = "settling"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process whose end ends the lease. started: see `start_ticks`; boot_id: of the host."""

    pid: int
    started: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class LeasedPort:
    """One host port, and what it is for; host_ip "" is every address, host_port 0 not yet one."""

    service: str
    number: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0

    @property
    def held(self) -> HostPort:
        return HostPort(self.host_port, self.protocol, self.host_ip)


@dataclass(frozen=True, slots=True)
class Lease:
    """One lease of a project.

    stack: what the project is an instance of; instance: its number among those that are there.
    created_ns, expires_ns: since the epoch; expires_ns 0 is never. owner: None if nobody's end
    counts. keep_volumes: those that were there before, where the others go too; None where all
    stay. stop_timeout_s: how long containers may take to stop once it ends; 0 kills them.
    folder: whose removal ends the lease; "" for none; folder_device: what that is on.
    """

    id: str
    project: str
    stack: str
    instance: int
    created_ns: int
    expires_ns: int = 0
    owner: Owner | None = None
    keep_volumes: tuple[str, ...] | None = None
    stop_timeout_s: float = 0
    ports: tuple[LeasedPort, ...] = ()
    phase: Phase = Phase.HELD
    folder: str = ""
    folder_device: int = 0

    def document(self) -> Document:
        document = {**asdict(self), "phase": self.phase.value}
        if not self.folder:
            del document["folder"], document["folder_device"]
        return document


def lease_from(document: Document) -> Lease:
    owner = document["owner"]
    keep_volumes = document["keep_volumes"]
    return Lease(
        **{
            **known_fields(Lease, document),
            "keep_volumes": None if keep_volumes is None else tuple(keep_volumes),
            "owner": Owner(**known_fields(Owner, owner)) if owner else None,
            "ports": tuple(LeasedPort(**known_fields(LeasedPort, p)) for p in document["ports"]),
            "phase": Phase(document["phase"]),
        }
    )


def _with_kept_volumes(document: Document) -> Document:
    """To version 2: an earlier one says only that volumes go, by the clock: they stay."""
    known = {key: value for key, value in document.items() if key != "volumes"}
    return {"keep_volumes": None, **known}


LEASE = Kind(
    "lease",
    parse=lambda _, document: lease_from(document),
    dump=Lease.document,
    migrations=(_with_kept_volumes,),
)


def free_instance(leases: Iterable[Lease], stack: str) -> int:
    """The lowest number that no lease of this stack has."""
    taken = {lease.instance for lease in leases if lease.stack == stack}
    return next(number for number in range(len(taken) + 1) if number not in taken)
