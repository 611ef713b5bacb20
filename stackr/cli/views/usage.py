"""What containers use, with the columns and fields of `docker stats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.cli.views.units import binary_size, size
from stackr.runtime.types import ContainerState, ContainerStats

__all__ = ["COLUMNS", "HEADINGS", "stats_fields"]

COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
HEADINGS: Mapping[str, str] = {
    "BlockIO": "BLOCK I/O",
    "CPUPerc": "CPU %",
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "MemPerc": "MEM %",
    "MemUsage": "MEM USAGE / LIMIT",
    "Name": "NAME",
    "NetIO": "NET I/O",
    "PIDs": "PIDS",
}
_SHORT_ID = 12


def stats_fields(
    container: ContainerState, stats: ContainerStats, *, whole: bool = False
) -> dict[str, Any]:
    """What a template can name. whole: IDs are not cut."""
    limit = stats.memory_limit_bytes
    share = stats.memory_bytes / limit * 100 if limit else 0.0
    return {
        "BlockIO": f"{size(stats.read_bytes)} / {size(stats.written_bytes)}",
        "CPUPerc": f"{stats.cpu_percent:.2f}%",
        "Container": container.id,
        "ID": container.id if whole else container.id[:_SHORT_ID],
        "MemPerc": f"{share:.2f}%",
        "MemUsage": f"{binary_size(stats.memory_bytes)} / {binary_size(limit)}",
        "Name": container.name,
        "NetIO": f"{size(stats.received_bytes)} / {size(stats.sent_bytes)}",
        "PIDs": str(stats.pids),
    }
