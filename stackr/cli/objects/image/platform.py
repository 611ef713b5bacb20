"""`--platform` of commands on images that are here: sent as the API has it, where it has it.

Source: docker/cli, cli/command/image; containerd/platforms, Parse.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final

from stackr.cli.objects.engine import Call
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option
from stackr.runtime.architecture import ARCHITECTURES

__all__ = ["PLATFORM", "parse_platform", "platform_query"]

PLATFORM: Final = Option("--platform", metavar="OS[/ARCH]", help="Of this platform")
_LINUX: Final = "linux"
_PART_RE: Final = re.compile(r"[A-Za-z0-9_.-]+")
_MOST_PARTS: Final = 3


async def platform_query(
    call: Call, text: str, *, since: tuple[int, int], key: str = "platform"
) -> dict[str, Any]:
    """The query that asks for it; empty for "".

    since: the first API that has it. Raises NotSupported for an older engine, which would pass it
    over, and InvalidArgument for what is no platform.
    """
    if not text:
        return {}
    platform = parse_platform(text)
    told = (await call.get("/version")).get("ApiVersion") or ""
    if tuple(int(part) for part in re.findall(r"\d+", told)) < since:
        least = ".".join(map(str, since))
        raise NotSupported(f"--platform: the engine has API {told}, and {least} has it first")
    return {key: json.dumps(platform, separators=(",", ":"))}


def parse_platform(text: str) -> dict[str, str]:
    """As OCI has it, of `linux/arm64/v8`, `linux/arm64`, `linux` or `arm64`."""
    parts = text.lower().split("/")
    if len(parts) > _MOST_PARTS or not all(map(_PART_RE.fullmatch, parts)):
        raise InvalidArgument(f"--platform: invalid platform: {text}")
    if len(parts) == 1:
        is_system = parts[0] in (_LINUX, "windows", "darwin", "freebsd")
        parts = [parts[0], os.uname().machine] if is_system else [_LINUX, parts[0]]
    system, architecture, variant = [*parts, ""][:_MOST_PARTS]
    architecture, implied = ARCHITECTURES.get(architecture, (architecture, ""))
    variant = variant or implied
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    found = {"architecture": architecture, "os": system, "variant": variant}
    return {name: value for name, value in found.items() if value}
