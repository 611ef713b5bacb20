"""Driver options of one endpoint: settings of its interface in the container; pure.

Source: Docker Engine API 1.46, `EndpointSettings.DriverOpts`,
`com.docker.network.endpoint.{ifname,sysctls}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from stackr.errors import InvalidArgument

__all__ = ["endpoint_sysctls", "interface_name"]

_SYSCTLS: Final = "com.docker.network.endpoint.sysctls"
_NAME: Final = "com.docker.network.endpoint.ifname"
_SYSCTL: Final = re.compile(r"net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.IFNAME\.(\w+)=([^,]*)")


def interface_name(options: Mapping[str, str]) -> str:
    """ "" where the engine chooses one."""
    return options.get(_NAME, "")


def endpoint_sysctls(options: Mapping[str, str], interface: str) -> list[tuple[str, str]]:
    """Paths below /proc/sys, and values.

    Raises InvalidArgument for what is not of the interface alone.
    """
    found = []
    for text in filter(None, map(str.strip, options.get(_SYSCTLS, "").split(","))):
        match = _SYSCTL.fullmatch(text)
        if match is None:
            raise InvalidArgument(
                f'invalid endpoint sysctl "{text}": expected'
                " net.(ipv4|ipv6|mpls).(conf|neigh).IFNAME.NAME=VALUE"
            )
        family, kind, name, value = match.groups()
        found.append((f"net/{family}/{kind}/{interface}/{name}", value.strip()))
    return found
