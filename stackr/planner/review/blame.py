"""Which attribute of a service an engine's error is about, found by its words; pure.

An engine answers with a text that names a path, a program or an option as the container has it. The
texts are Docker's, and both engines' own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from stackr.spec.model.service import Service
from stackr.text import whole_number

__all__ = ["blamed"]

_MOST_PORT = 65535


_Found = Callable[[Service, re.Match[str]], str]


def blamed(service: Service, message: str) -> str:
    """The path below the service that is to blame: `volumes[0]`, `sysctls.net.x`; "" for none."""
    for pattern, found in _RULES:
        match = pattern.search(message)
        if match is not None:
            return found(service, match)
    return ""


def _mount(service: Service, match: re.Match[str]) -> str:
    target = match["target"]
    for index, volume in enumerate(service.volumes):
        if (volume.target or "").rstrip("/") == target:
            return f"volumes[{index}]"
    for index, text in enumerate(service.tmpfs):
        if text.partition(":")[0].rstrip("/") == target:
            return f"tmpfs[{index}]"
    for attribute in ("configs", "secrets"):
        for index, grant in enumerate(getattr(service, attribute)):
            if grant.target == target or target.endswith(f"/{grant.target or grant.source}"):
                return f"{attribute}[{index}]"
    return ""


def _source(service: Service, match: re.Match[str]) -> str:
    for index, volume in enumerate(service.volumes):
        if volume.source == match["source"]:
            return f"volumes[{index}]"
    return ""


def _port(service: Service, match: re.Match[str]) -> str:
    for index, port in enumerate(service.ports):
        first, _, last = str(port.published or "").partition("-")
        low, high = (whole_number(each, most=_MOST_PORT) for each in (first, last or first))
        if low is not None and high is not None and low <= int(match["port"]) <= high:
            return f"ports[{index}]"
    return "ports" if service.ports else ""


def _device(service: Service, match: re.Match[str]) -> str:
    for index, device in enumerate(service.devices):
        if match["path"] in (device.source, device.target):
            return f"devices[{index}]"
    return "devices" if service.devices else ""


def _program(service: Service, match: re.Match[str]) -> str:
    """The program is the entrypoint's first word where there is one, else the command's."""
    for attribute in ("entrypoint", "command"):
        words = getattr(service, attribute)
        if words:
            return attribute if words[0] == match["program"] else ""
    return ""


def _image(service: Service, match: re.Match[str]) -> str:
    return "image" if service.image else ""


def _group(service: Service, match: re.Match[str]) -> str:
    name = match["name"]
    return f"group_add[{service.group_add.index(name)}]" if name in service.group_add else "user"


def _one(attribute: str) -> _Found:
    return lambda service, match: attribute


def _key(attribute: str) -> _Found:
    return lambda service, match: f"{attribute}.{match['key']}"


_RULES: tuple[tuple[re.Pattern[str], _Found], ...] = tuple(
    (re.compile(pattern), found)
    for pattern, found in (
        (r'to rootfs at "(?P<target>[^"]+)"', _mount),
        (r"destination can't be '(?P<target>[^']+)'", _mount),
        (r"bind source path does not exist: (?P<source>[^\s:]+)", _source),
        (r"host port \S*:(?P<port>\d+)/\w+ is in use", _port),
        (r"chdir to cwd|Cannot mkdir: |working directory", _one("working_dir")),
        (r'sysctl "(?P<key>[^"]+)"', _key("sysctls")),
        (r'adding custom device "(?P<path>[^"]+)"', _device),
        (r'device "(?P<path>[^"]+)": ', _device),
        (r"ulimit (?P<key>\w+): ", _key("ulimits")),
        (r"oom_score_adj|oom score adj", _one("oom_score_adj")),
        (r"unable to find user |uids and gids must be", _one("user")),
        (r"nable to find group (?P<name>\S+): ", _group),
        (r"Requested CPUs are not available", _one("cpuset")),
        (r"seccomp", _one("security_opt")),
        (r"memory limit: |[Mm]inimum memory limit", _one("mem_limit")),
        (r"invalid hostname", _one("hostname")),
        (r"image \S+: (?:manifest for|pull access denied|repository|No such image)", _image),
        (r'exec: "(?P<program>[^"]+)": ', _program),
        (r"build: build\.(?P<key>\w+)[^:]*: not supported", _key("build")),
    )
)
