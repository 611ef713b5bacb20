"""From a stack, and what is asked of a test, to its isolated copy that is to be brought up."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from stackr.errors import InvalidArgument
from stackr.planner.desired.instance import Instance, instance, instance_name
from stackr.planner.desired.publish import with_published
from stackr.planner.plan.options import UpOptions
from stackr.planner.workloads.isolated import on_nodes
from stackr.runtime.leases import Lease, PortWish
from stackr.stack.address import engine_host, may_be_cluster
from stackr.stack.planning import desire
from stackr.stack.source import Source
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.variables import Address, Member, reached_from, variables

__all__ = ["Blueprint", "draw"]

_TOKEN_BYTES = 4


@dataclass(frozen=True, slots=True)
class Blueprint:
    """source, engine: what it is made of, and on. stack: the name that the file gives.

    token: what tells this copy from others.
    """

    source: Source
    engine: str | None
    arguments: EnvironmentOptions
    stack: str
    token: str
    instance: Instance

    @property
    def name(self) -> str:
        """The project's name."""
        return self.instance.project.name

    @property
    def wishes(self) -> tuple[PortWish, ...]:
        return tuple(
            PortWish(port.service, port.number, port.container_port, port.protocol, port.host_ip)
            for port in self.instance.ports
        )

    def with_ports(self, lease: Lease) -> Blueprint:
        """The same stack, read again: it may use the variables that name its host ports.

        Raises InvalidArgument where what it publishes depends on them.
        """
        values, _ = variables(self._members(lease))
        again = _load(
            replace(self.source, environ={**self.source.environ, **values}),
            self.arguments,
            self.stack,
            self.token,
        )
        if again.ports != self.instance.ports:
            raise InvalidArgument(
                "the ports that the stack publishes depend on STACKR_ variables of its host ports"
            )
        return replace(self, instance=again)

    def on_nodes(self) -> Blueprint:
        """The same on a cluster, whose nodes choose the ports."""
        arguments = self.arguments
        project = on_nodes(
            self.instance.project,
            kept=arguments.fixed.ports,
            scale=arguments.scale,
            stop_timeout_s=arguments.stop_timeout_s,
        )
        return replace(self, instance=replace(self.instance, project=project))

    @property
    def up_options(self) -> UpOptions:
        """How it is brought up, ready for use at its end."""
        arguments = self.arguments
        return UpOptions(
            services=arguments.services,
            scale=arguments.scale,
            pull=arguments.pull,
            wait=True,
            wait_timeout_s=arguments.wait_timeout_s,
        )

    def host_ports(self, lease: Lease | None) -> dict[tuple[str, int, int], int]:
        """For `UpOptions.host_ports`; without a lease the engine chooses them."""
        numbers = lease.ports if lease is not None else ()
        return {
            (port.service, port.number, port.index): number
            for port, number in zip(self.instance.ports, numbers, strict=False)
        }

    def scheme_of(self, service: str, container_port: int) -> str:
        """`app_protocol` of the stack file's port."""
        found = (
            port.app_protocol
            for port in self.instance.project.services[service].ports
            if port.target == container_port and port.app_protocol
        )
        return next(found, None) or ""

    def _members(self, lease: Lease) -> list[Member]:
        host = engine_host(self.engine)
        found: dict[tuple[str, int], list[Address]] = {}
        for port, number in zip(self.instance.ports, lease.ports, strict=True):
            address = Address(
                port.container_port, port.host_ip, number, port.protocol, port.app_protocol
            )
            found.setdefault((port.service, port.number), []).append(address)
        return [Member(s, n, ports=reached_from(host, ports)) for (s, n), ports in found.items()]


def draw(source: Source, engine: str | None, arguments: EnvironmentOptions) -> Blueprint:
    """Load the stack under a name of its own, isolate it, and check that it can be brought up.

    Whether an engine may be a cluster, which has checks of its own, shows once it is open.
    Raises InvalidProject, and InvalidArgument for options that name what is not there.
    """
    stack = source.name()
    token = secrets.token_hex(_TOKEN_BYTES)
    loaded = _load(source, arguments, stack, token)
    if not may_be_cluster(engine):
        desire(
            loaded.project,
            UpOptions(arguments.services, scale=arguments.scale),
            engine=engine,
            all_resources=source.options.all_resources,
        )
    return Blueprint(source, engine, arguments, stack, token, loaded)


def _load(source: Source, arguments: EnvironmentOptions, stack: str, token: str) -> Instance:
    options = replace(source.options, project_name=instance_name(stack, token))
    loaded = replace(source, options=options).load(arguments.services)
    project = with_published(loaded, arguments.publish)
    return instance(project, stack, f"t-{token}", replicas=arguments.scale, keep=arguments.fixed)
