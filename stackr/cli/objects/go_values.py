"""What an engine answers in JSON, as the Go values that Docker's templates see."""

from __future__ import annotations

from typing import Any

from stackr.cli.views.template_functions import Nil, Struct

__all__ = ["Map", "go_value"]

_MAPS = frozenset(
    (
        *("Annotations", "Attributes", "AuxiliaryAddresses", "Config", "Containers", "DriverOpts"),
        *("ExposedPorts", "GraphDriver.Data", "Labels", "Networks", "Options", "PortBindings"),
        *("Ports", "StorageOpt", "Sysctls", "Tmpfs", "Volumes", "Runtimes", "Data"),
    )
)
"""Fields that are maps; `Config` is one in `LogConfig` alone."""


_POINTERS = frozenset(
    (
        *("Health", "Healthcheck", "Init", "IPAMConfig", "MemorySwappiness", "OomKillDisable"),
        *("PidsLimit", "StopTimeout"),
    )
)
"""Fields that point to what they have, or to nothing. Any other that may be null is a list."""


class Map(dict[str, Any]):
    """As a map in Go: what it does not have is no error."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> None:
        return None


def go_value(value: Any, name: str = "", parent: str = "") -> Any:
    """name: of the field that it is in; parent: of the field around that."""
    if isinstance(value, list):
        return [go_value(each) for each in value]
    if value is None:
        return _nil(name)
    if not isinstance(value, dict):
        return value
    is_map = name in _MAPS and (name != "Config" or parent == "LogConfig")
    if is_map:
        return Map({key: go_value(each) for key, each in value.items()})
    return Struct({key: go_value(each, key, name) for key, each in value.items()})


def _nil(name: str) -> Nil:
    return Nil("<nil>" if name in _POINTERS else "map[]" if name in _MAPS else "[]")
