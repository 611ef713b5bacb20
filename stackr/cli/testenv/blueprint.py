"""From the command line to the isolated copy of the stack that is to be brought up."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from stackr.cli.options import GlobalOptions
from stackr.cli.planning import desire
from stackr.cli.project import load_project, project_name
from stackr.cli.testenv.arguments import Arguments
from stackr.cli.testenv.variables import Address, Member, reached_from, variables
from stackr.errors import InvalidArgument
from stackr.planner.instance import Instance, instance, instance_name
from stackr.planner.options import UpOptions
from stackr.runtime.leases import Lease, PortWish

__all__ = ["Blueprint", "draw"]

_LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 4


@dataclass(frozen=True, slots=True)
class Blueprint:
    """stack: the name that the file gives; token: what tells this copy from others."""

    options: GlobalOptions
    arguments: Arguments
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
            self.options, self.arguments, self.stack, self.token, {**os.environ, **values}
        )
        if again.ports != self.instance.ports:
            raise InvalidArgument(
                "the ports that the stack publishes depend on STACKR_ variables of its host ports"
            )
        return replace(self, instance=again)

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
        host = engine_host(self.options)
        found: dict[tuple[str, int], list[Address]] = {}
        for port, number in zip(self.instance.ports, lease.ports, strict=True):
            address = Address(
                port.container_port, port.host_ip, number, port.protocol, port.app_protocol
            )
            found.setdefault((port.service, port.number), []).append(address)
        return [Member(s, n, ports=reached_from(host, ports)) for (s, n), ports in found.items()]


def draw(options: GlobalOptions, arguments: Arguments) -> Blueprint:
    """Load the stack under a name of its own, isolate it, and check that it can be brought up.

    Raises InvalidProject, and InvalidArgument for options that name what is not there.
    """
    stack = project_name(options)
    token = secrets.token_hex(_TOKEN_BYTES)
    loaded = _load(options, arguments, stack, token, os.environ)
    desire(loaded.project, UpOptions(arguments.services, scale=arguments.scale), options)
    return Blueprint(options, arguments, stack, token, loaded)


def _load(
    options: GlobalOptions,
    arguments: Arguments,
    stack: str,
    token: str,
    environ: Mapping[str, str],
) -> Instance:
    named = replace(options, project_name=instance_name(stack, token))
    project = load_project(named, services=arguments.services, environ=environ)
    return instance(project, stack, f"t-{token}", replicas=arguments.scale, keep=arguments.fixed)


def engine_host(options: GlobalOptions, environ: Mapping[str, str] = os.environ) -> str:
    """The host at which the engine publishes ports, as seen from here."""
    engine = options.engine or environ.get("STACKR_ENGINE") or "embedded"
    address = environ.get("DOCKER_HOST", "") if engine == "docker" else engine
    parts = urlsplit(address)
    return parts.hostname or _LOOPBACK if parts.scheme in ("tcp", "ssh") else _LOOPBACK
