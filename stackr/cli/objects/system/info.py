"""`stackr system info`: what an engine is and has.

Source: docker/cli, cli/command/system/info.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from stackr.cli.declared import takes
from stackr.cli.objects.engine import Call, Json, on_engine
from stackr.cli.objects.inspect import INSPECT_FORMAT
from stackr.cli.objects.listing import one
from stackr.cli.views.units import binary_size
from stackr.version import __version__

__all__ = ["info", "info_lines"]


@dataclass(frozen=True, slots=True)
class InfoArguments:
    """`stackr system info`."""

    form: Annotated[str, INSPECT_FORMAT] = ""


@takes(InfoArguments)
def info(ctx: typer.Context, arguments: InfoArguments) -> None:
    """Show what the engine is and has."""

    async def work(call: Call) -> None:
        found = await call.get("/info")
        if arguments.form:
            client = {"Debug": False, "Version": __version__, "Plugins": [], "Warnings": None}
            one(call, {**found, "ClientInfo": client}, arguments.form)
            return
        call.line(f"Client:\n Version:    {__version__}\n Debug Mode: false\n\nServer:")
        for line in info_lines(found):
            call.line(line)
        for warning in found.get("Warnings") or ():
            call.error_line(warning)

    on_engine(ctx, work, read_only=True)


def info_lines(found: Json) -> Iterator[str]:
    """The engine's part."""
    yield from _counts(found)
    yield from _plugins(found)
    yield f" Swarm: {(found.get('Swarm') or {}).get('LocalNodeState') or ''}"
    yield from _runtimes(found)
    yield from _host(found)
    yield from _settings(found)
    yield ""


def _counts(found: Json) -> Iterator[str]:
    yield f" Containers: {found.get('Containers', 0)}"
    for state in ("Running", "Paused", "Stopped"):
        yield f"  {state}: {found.get(f'Containers{state}', 0)}"
    yield f" Images: {found.get('Images', 0)}"
    yield from _given(found, ("Server Version", "ServerVersion"), ("Storage Driver", "Driver"))
    yield from (f"  {name}: {value}" for name, value in found.get("DriverStatus") or ())
    yield from _given(
        found,
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
    )


def _given(found: Json, *named: tuple[str, str]) -> Iterator[str]:
    """Those that say something."""
    for title, key in named:
        if found.get(key):
            yield f" {title}: {found[key]}"


def _plugins(found: Json) -> Iterator[str]:
    plugins = found.get("Plugins") or {}
    yield " Plugins:"
    for kind in ("Volume", "Network", "Authorization", "Log"):
        if kind != "Authorization" or plugins.get(kind):
            yield f"  {kind}: {' '.join(plugins.get(kind) or ())}"
    yield from _list(" CDI spec directories:", found.get("CDISpecDirs"))


def _list(title: str, values: Sequence[str] | None) -> Iterator[str]:
    if values:
        yield title
        yield from (f"  {value}" for value in values)


def _runtimes(found: Json) -> Iterator[str]:
    if found.get("Runtimes"):
        yield f" Runtimes: {' '.join(sorted(found['Runtimes']))}"
        yield f" Default Runtime: {found.get('DefaultRuntime') or ''}"
    if found.get("OSType") != "linux":
        return
    yield f" Init Binary: {found.get('InitBinary') or ''}"
    for name, key in (("containerd", "Containerd"), ("runc", "Runc"), ("init", "Init")):
        yield f" {name} version: {(found.get(f'{key}Commit') or {}).get('ID') or ''}"
    if found.get("SecurityOptions"):
        yield " Security Options:"
    for text in found.get("SecurityOptions") or ():
        options = dict(part.partition("=")[::2] for part in text.split(","))
        yield f"  {options.get('name') or text}"
        if "profile" in options:
            yield f"   Profile: {options['profile']}"


def _host(found: Json) -> Iterator[str]:
    yield from _given(
        found,
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    )
    yield f" CPUs: {found.get('NCPU', 0)}"
    yield f" Total Memory: {binary_size(found.get('MemTotal') or 0)}"
    yield from _given(found, ("Name", "Name"), ("ID", "ID"))


def _settings(found: Json) -> Iterator[str]:
    yield f" Docker Root Dir: {found.get('DockerRootDir') or ''}"
    yield f" Debug Mode: {_flag(found.get('Debug'))}"
    yield from _given(
        found, ("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")
    )
    yield from _list(" Labels:", found.get("Labels"))
    yield f" Experimental: {_flag(found.get('ExperimentalBuild'))}"
    registries = found.get("RegistryConfig") or {}
    indexes = registries.get("IndexConfigs") or {}
    if registries.get("InsecureRegistryCIDRs") or indexes:
        yield " Insecure Registries:"
        yield from (f"  {each['Name']}" for each in indexes.values() if not each.get("Secure"))
        yield from (f"  {cidr}" for cidr in registries.get("InsecureRegistryCIDRs") or ())
    yield from _list(" Registry Mirrors:", registries.get("Mirrors"))
    yield f" Live Restore Enabled: {_flag(found.get('LiveRestoreEnabled'))}"
    yield from _given(found, ("Product License", "ProductLicense"))
    pools = found.get("DefaultAddressPools") or ()
    if pools:
        yield " Default Address Pools:"
    yield from (f"   Base: {each['Base']}, Size: {each['Size']}" for each in pools)


def _flag(value: Any) -> str:
    return "true" if value else "false"
