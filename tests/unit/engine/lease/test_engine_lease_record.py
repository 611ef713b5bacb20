"""What is pure of leases: their records, the numbers of instances, the port that is preferred."""

from __future__ import annotations

import json

from stackr.runtime.engine.lease.record import (
    LEASE,
    Lease,
    LeasedPort,
    Owner,
    Phase,
    free_instance,
    lease_from,
)
from stackr.runtime.engine.network.reservations import preferred_port


def _lease(instance: int, stack: str = "demo") -> Lease:
    return Lease(f"id{instance}", f"{stack}-t-{instance}", stack, instance, created_ns=1)


def test_a_record_is_read_as_it_was_written() -> None:
    lease = Lease(
        "id",
        "demo-t-1",
        "demo",
        3,
        created_ns=17,
        expires_ns=18,
        owner=Owner(12, 34, "boot"),
        keep_volumes=("demo_older",),
        stop_timeout_s=1.5,
        ports=(LeasedPort("web", 2, 80, "udp", "127.0.0.1", 20001),),
        phase=Phase.ENDING,
    )
    assert lease_from(json.loads(json.dumps(lease.document()))) == lease
    assert lease_from(json.loads(json.dumps(_lease(0).document()))) == _lease(0)


def test_an_earlier_record_takes_no_volume_along() -> None:
    """It told those that were there before by the clock."""
    document = _lease(0).document()
    del document["keep_volumes"]
    assert LEASE.read("", {**document, "volumes": True})[0].keep_volumes is None


def test_the_lowest_free_number_is_an_instances() -> None:
    assert free_instance([], "demo") == 0
    assert free_instance([_lease(0), _lease(1)], "demo") == 2
    assert free_instance([_lease(1), _lease(2)], "demo") == 0
    assert free_instance([_lease(0), _lease(1, "other")], "demo") == 1


def test_the_preferred_port_is_of_the_range_and_of_the_key() -> None:
    ports = (20000, 20009)
    found = {preferred_port(ports, f"demo/0/web/{number}/80/tcp") for number in range(200)}
    assert found == set(range(20000, 20010))
    assert preferred_port(ports, "a") == preferred_port(ports, "a")
    assert preferred_port((7, 7), "a") == 7
