"""Which dialect an engine's documents are in: the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Mapping

from stackr.errors import NotSupported
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Dialect
from stackr.runtime.workloads import WorkloadCapabilities

__all__ = ["NEWEST", "dialect_of"]

NEWEST = WorkloadCapabilities(api=(99, 0))
"""Of an engine that is not asked: it speaks whatever there is, and nobody knows its nodes."""
_DIALECTS: Mapping[str, Dialect] = {each.name: each for each in (Swarm(),)}


def dialect_of(name: str) -> Dialect:
    """By `Workloads.dialect`. Raises NotSupported for one that nobody has written."""
    if name not in _DIALECTS:
        raise NotSupported(f'no plans are made for engines of the kind "{name}"')
    return _DIALECTS[name]
