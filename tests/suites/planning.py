"""Small projects for tests of the planner and the executor, and one cycle of plan and apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_runtime import FakeRuntime

from stackr.executor.apply import apply
from stackr.executor.events import Event
from stackr.executor.outcome import Outcome
from stackr.executor.walk import Limits
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import Desired, desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.spec.model.network import Network
from stackr.spec.model.project import Project
from stackr.spec.model.service import Dependency, Port, Service
from stackr.spec.model.volume import Volume

__all__ = ["Recorder", "needs", "plan_for", "port", "published", "service", "stack", "up"]


def service(**attributes: Any) -> Service:
    """A service of image "app" in the default network, unless said otherwise."""
    networks = {} if "network_mode" in attributes else {"default": None}
    return Service(**{"image": "app", "networks": networks, **attributes})


def needs(*names: str, **attributes: Any) -> dict[str, Dependency]:
    """`depends_on` of these services; attributes are those of each."""
    return {name: Dependency(**attributes) for name in names}


def port(target: int, published: str | None = None, **attributes: Any) -> Port:
    return Port(target=target, published=published, protocol="tcp", **attributes)


def published(*numbers: int) -> tuple[Port, ...]:
    return tuple(port(80, str(number)) for number in numbers)


def stack(
    services: Mapping[str, Service],
    *,
    networks: Mapping[str, Network] | None = None,
    volumes: Mapping[str, Volume] | None = None,
    **attributes: Any,
) -> Project:
    """The project "demo"; the default network is declared."""
    declared = {"default": Network(name="demo_default"), **(networks or {})}
    named = {name: each.model_copy(update={"name": name}) for name, each in services.items()}
    return Project(
        name="demo",
        working_dir="/demo",
        services=named,
        networks=declared,
        volumes=dict(volumes or {}),
        **attributes,
    )


def plan_for(project: Project, observed: Observed, options: UpOptions | None = None) -> Plan:
    return reconcile(desired(project, options), observed, options)


class Recorder:
    """A sink that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        self.events.append(event)

    def names(self, kind: type[Event]) -> list[str]:
        """The operations of all events of this kind, as "action resource"."""
        return [
            f"{event.operation.action.value} {event.operation.resource.name}"
            for event in self.events
            if isinstance(event, kind) and hasattr(event, "operation")
        ]


async def up(
    runtime: FakeRuntime,
    project: Project,
    options: UpOptions | None = None,
    *,
    sink: Recorder | None = None,
    limits: Limits | None = None,
) -> tuple[Plan, Outcome]:
    """Observe, plan and apply."""
    wanted: Desired = desired(project, options)
    plan = reconcile(wanted, await observe(runtime, project.name, wanted), options)
    return plan, await apply(plan, runtime, sink or Recorder(), limits=limits)
