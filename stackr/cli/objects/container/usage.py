"""What containers run, use and publish: `top`, `stats`, `port`.

Source: docker/cli, cli/command/container.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

import typer

from stackr.cli.commands.stats import Shown, follow_stats
from stackr.cli.declared import Argument, takes
from stackr.cli.objects.docker_config import configured
from stackr.cli.objects.engine import Call, Json, on_engine, path
from stackr.cli.objects.listing import FORMAT, NO_TRUNC
from stackr.cli.views.formats import Format
from stackr.cli.views.table import table
from stackr.cli.views.usage import COLUMNS
from stackr.errors import InvalidArgument, NotFound
from stackr.options import Option
from stackr.runtime.types import ContainerState

__all__ = ["CONTEXT_SETTINGS", "port", "stats", "top"]

CONTEXT_SETTINGS = {
    "top": {"allow_interspersed_args": False, "ignore_unknown_options": True},
}
_TOP_WIDTH = 20


@dataclass(frozen=True, slots=True)
class TopArguments:
    """`stackr container top`."""

    name: Annotated[str, Argument("CONTAINER")]
    options: Annotated[tuple[str, ...], Argument("[PS_OPTIONS]...")] = ()


@dataclass(frozen=True, slots=True)
class StatsArguments:
    """`stackr container stats`."""

    names: Annotated[tuple[str, ...], Argument("[CONTAINER]...")] = ()
    all: Annotated[bool, Option("--all", "-a", help="Stopped containers as well")] = False
    form: Annotated[str, FORMAT] = ""
    no_stream: Annotated[bool, Option("--no-stream", help="Show the figures once, and end")] = False
    no_trunc: Annotated[bool, NO_TRUNC] = False


@dataclass(frozen=True, slots=True)
class PortArguments:
    """`stackr container port`."""

    name: Annotated[str, Argument("CONTAINER")]
    port: Annotated[str, Argument("[PORT[/PROTOCOL]]")] = ""


@takes(TopArguments)
def top(ctx: typer.Context, arguments: TopArguments) -> None:
    """List the processes of a running container; PS_OPTIONS are those of ps."""

    async def work(call: Call) -> None:
        found = await call.get(
            path("containers", arguments.name, "top"),
            ps_args=" ".join(arguments.options) or None,
        )
        rows = found.get("Processes") or []
        for line in table(found["Titles"], rows, min_width=_TOP_WIDTH, gap=1, keeps_end=True):
            call.line(line)

    on_engine(ctx, work, read_only=True)


@takes(StatsArguments)
def stats(ctx: typer.Context, arguments: StatsArguments) -> None:
    """Show what containers use, until Ctrl-C."""
    form = Format.parse(arguments.form or configured("statsFormat"), columns=COLUMNS)
    shown = Shown(form, once=arguments.no_stream, whole=arguments.no_trunc)

    async def work(call: Call) -> None:
        async def look() -> list[ContainerState]:
            if not arguments.names:
                return await call.runtime.list_containers(all=arguments.all)
            return [await call.runtime.inspect_container(name) for name in arguments.names]

        await follow_stats(call.session, call.runtime, look, shown)

    on_engine(ctx, work, read_only=True)


@takes(PortArguments)
def port(ctx: typer.Context, arguments: PortArguments) -> None:
    """List where on the host the ports of a container answer."""

    async def work(call: Call) -> None:
        found = await call.get(path("containers", arguments.name, "json"))
        ports = (found.get("NetworkSettings") or {}).get("Ports") or {}
        for line in sorted(_published(ports, arguments), key=_natural):
            call.line(line)

    on_engine(ctx, work, read_only=True)


def _published(ports: Json, arguments: PortArguments) -> list[str]:
    if not arguments.port:
        return [f"{key} -> {_host(each)}" for key, own in ports.items() for each in own or ()]
    number, slash, protocol = arguments.port.partition("/")
    if not number.isdecimal():
        raise InvalidArgument(f"Invalid port: {arguments.port}")
    own = ports.get(f"{number}/{protocol if slash else 'tcp'}")
    if not own:
        raise NotFound(f"No public port '{arguments.port}' published for {arguments.name}")
    return [_host(each) for each in own]


def _host(binding: Json) -> str:
    address = binding["HostIp"]
    is_long = address and ipaddress.ip_address(address).version == 6
    return f"[{address}]:{binding['HostPort']}" if is_long else f"{address}:{binding['HostPort']}"


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Numbers in a text are ordered by their value."""
    return [
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]
