"""How long a plan takes to make, and how that grows with the stack; in this process, no engine."""

from __future__ import annotations

import time
from collections.abc import Iterator

from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import Desired, desired
from stackr.planner.observe.observed import Observed
from stackr.planner.review.compare import imagined
from stackr.spec.model.network import Network
from stackr.spec.model.project import Project
from stackr.spec.model.service import Dependency, Port, Service

SERVICE_COUNTS = (10, 100, 1000, 5000)
FAN_OUT = 10
"""How many services depend on each that has any."""


def measure(counts: tuple[int, ...] = SERVICE_COUNTS) -> Iterator[tuple[str, float]]:
    """Steps and seconds: a plan from nothing, with nothing to do, and with one service changed."""
    for count in counts:
        project, changed = stack(count), stack(count, changed=count // 2)
        nothing = Observed(project.name)
        start = time.perf_counter()
        wanted = desired(project)
        yield f"plan of {count} services", _timed(wanted, nothing, start)
        running = imagined(wanted, wanted)
        start = time.perf_counter()
        yield f"plan of {count} services, nothing to do", _timed(desired(project), running, start)
        start = time.perf_counter()
        yield f"plan of {count} services, one changed", _timed(desired(changed), running, start)


def _timed(wanted: Desired, observed: Observed, start: float) -> float:
    reconcile(wanted, observed)
    return time.perf_counter() - start


def stack(count: int, *, changed: int = -1) -> Project:
    """A project of services that depend on each other as a tree does; one has another value."""
    return Project(
        name="bench",
        working_dir="/bench",
        services={_name(n): _service(n, is_changed=n == changed) for n in range(count)},
        networks={"default": Network(name="bench_default")},
    )


def _service(number: int, *, is_changed: bool) -> Service:
    needs = {_name(number // FAN_OUT): Dependency(condition="service_started")} if number else {}
    return Service(
        name=_name(number),
        image="registry.example/app:1",
        networks={"default": None},
        depends_on=needs,
        environment={"LEVEL": "debug" if is_changed else "info", "NUMBER": str(number)},
        ports=(Port(target=80, published=str(10000 + number), protocol="tcp"),),
        labels={"org.example.number": str(number)},
    )


def _name(number: int) -> str:
    return f"s{number:05d}"
