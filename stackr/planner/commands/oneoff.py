"""The plan of `run`: one container of a service beside its replicas, and what it needs.

Two plans, as the second needs what the first makes: dependencies, networks and volumes come up as
with `up`, then the container is created. Its start is the caller's, who attaches first.
Source: docker/compose, pkg/compose/run.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stackr.errors import Conflict, NotFound
from stackr.planner.change.slots import decide
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.container_config import container_config
from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.observe.observed import Observed, service_of
from stackr.planner.plan.builder import Builder
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import CreateContainer
from stackr.planner.steps.creating import pull
from stackr.planner.steps.draft import Draft
from stackr.planner.steps.networks import diverged_networks
from stackr.planner.steps.readiness import conditions
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig, NetworkAttachment
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.service import Port, Service

__all__ = ["OneOff", "changed_service", "needs_options", "plan_needs", "plan_one_off"]


@dataclass(frozen=True, slots=True)
class OneOff:
    """What `run` was asked for. slug: 64 hex digits of its own.

    command, entrypoint: None for the service's own. environment, labels: over the service's.
    ports: None for the service's own; use_aliases: answer to the service's name as well.
    console_size: (rows, columns).
    """

    service: str
    slug: str
    name: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cap_add: Sequence[str] = ()
    cap_drop: Sequence[str] = ()
    user: str | None = None
    working_dir: str | None = None
    ports: tuple[Port, ...] | None = ()
    volumes: tuple[ServiceVolume, ...] = ()
    use_aliases: bool = False
    tty: bool = False
    stdin: bool = True
    auto_remove: bool = False
    console_size: tuple[int, int] | None = None

    def container_name(self, project: str) -> str:
        return self.name or f"{project}-{self.service}-run-{self.slug[:12]}"


def needs_options(service: str, options: UpOptions) -> UpOptions:
    """Of `desired`, for the service's own needs: it with none of its replicas."""
    return replace(options, services=(service,), scale={service: 0})


def plan_needs(desired: Desired, observed: Observed, service: str, options: UpOptions) -> Plan:
    """Bring up what the service needs; its own containers are not looked at.

    desired: made with `needs_options`. Raises Conflict where a network of theirs has changed.
    """
    own = [c for c in observed.containers if service_of(c) == service]
    for network in diverged_networks(desired, observed):
        if any(each.network == network for container in own for each in container.networks):
            raise Conflict(
                f"network {network}: it has changed in the stack file, and containers of "
                f'service "{service}" are in it',
                hint="bring the stack up first: stackr up -d",
            )
    return reconcile(desired, _without(observed, service), needs_options(service, options))


def plan_one_off(desired: Desired, observed: Observed, wanted: OneOff, options: UpOptions) -> Plan:
    """Create the container, once what its service depends on is as its conditions say."""
    builder = Builder(desired.project)
    rest = _without(observed, wanted.service)
    options = needs_options(wanted.service, options)
    draft = Draft(builder, desired, rest, options, decide(desired, rest, options))
    service = desired.services.get(wanted.service)
    if service is None:
        raise NotFound(f"no such service: {wanted.service}")
    after = pull(draft, service)
    for needed in service.depends_on:
        after += conditions(draft, service, needed)
    name = wanted.container_name(desired.project)
    resource = Resource("container", name, wanted.service)
    builder.changes.append(Change(resource, Kind.CREATE, "run"))
    config = _config(service, wanted, name, observed, _names(desired, observed))
    builder.add(Action.CREATE_CONTAINER, resource, "run", CreateContainer(name, config), after)
    return builder.plan()


def _without(observed: Observed, service: str) -> Observed:
    return replace(
        observed,
        containers=tuple(c for c in observed.containers if service_of(c) != service),
        steps=tuple(c for c in observed.steps if service_of(c) != service),
    )


def _names(desired: Desired, observed: Observed) -> dict[str, list[str]]:
    """Every service's containers: those that are there, else those that are to be."""
    names = {
        name: [service.container_name(number + 1) for number in range(service.replicas)]
        for name, service in desired.services.items()
    }
    found: dict[str, list[str]] = {}
    for container in observed.containers:
        found.setdefault(service_of(container), []).append(container.name)
    return {**names, **found}


def _config(
    service: DesiredService,
    wanted: OneOff,
    name: str,
    observed: Observed,
    names: Mapping[str, list[str]],
) -> ContainerConfig:
    image = observed.images.get(service.image)
    changed = changed_service(service.service, wanted)
    base = {k: v for k, v in service.base_labels.items() if k != labels.RESTART_UNHEALTHY}
    own = {
        **changed.labels,
        **base,
        labels.ONEOFF: "True",
        labels.SLUG: wanted.slug,
        **({labels.IMAGE: image.id} if image else {}),
    }
    config = container_config(
        service.project, changed, name, own, lambda other: names.get(other, [])
    )
    networks = config.networks
    if not wanted.use_aliases:
        networks = tuple(_by_its_name(network, name) for network in networks)
    return replace(
        config,
        networks=networks,
        tty=wanted.tty,
        open_stdin=wanted.stdin,
        stdin_once=wanted.stdin,
        restart=None,
        auto_remove=wanted.auto_remove,
        console_size=wanted.console_size,
    )


def _by_its_name(network: NetworkAttachment, name: str) -> NetworkAttachment:
    return replace(network, aliases=(name,))


def changed_service(service: Service, wanted: OneOff) -> Service:
    """The service with what was asked for in place of its own."""
    command = wanted.command
    if wanted.entrypoint is not None and command is None:
        command = ()
    changes = {
        "command": command,
        "entrypoint": wanted.entrypoint,
        "user": wanted.user,
        "working_dir": wanted.working_dir,
        "ports": wanted.ports,
    }
    return service.model_copy(
        update={
            **{key: value for key, value in changes.items() if value is not None},
            "environment": {**service.environment, **wanted.environment},
            "labels": {**service.labels, **wanted.labels},
            "cap_add": _plus(service.cap_add, wanted.cap_add, wanted.cap_drop),
            "cap_drop": _plus(service.cap_drop, wanted.cap_drop, wanted.cap_add),
            "volumes": (*service.volumes, *wanted.volumes),
        }
    )


def _plus(own: Sequence[str], added: Sequence[str], taken: Sequence[str]) -> tuple[str, ...]:
    return (*(name for name in own if name not in taken), *added)
