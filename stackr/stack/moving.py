"""What a stack would mean on another engine than the one that it runs on."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from stackr.errors import InvalidArgument, StackrError
from stackr.planner.review.portability import DOCKER, EMBEDDED, Row, compare_engines
from stackr.runtime.connect import connect_either
from stackr.runtime.engine_names import engine_named
from stackr.runtime.workloads import WorkloadCapabilities
from stackr.spec.model.project import Project
from stackr.stack.address import dialect_named

__all__ = ["Comparison", "compare_with", "kind_of"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """here, there: kinds of engines. unasked: why the one there was not asked what it can do."""

    here: str
    there: str
    rows: tuple[Row, ...]
    unasked: str = ""


def kind_of(engine: str | None) -> str:
    """What sort of engine a name or an address is of, as far as that shows in it.

    Raises InvalidArgument for an empty one.
    """
    if engine_named(engine, os.environ) == EMBEDDED:
        return EMBEDDED
    return dialect_named(engine) or DOCKER


def compare_with(project: Project, engine: str | None, other: str) -> Comparison:
    """engine, other: names or addresses, as `--engine` takes them.

    A cluster is asked for its version and nodes; where it does not answer, the newest is assumed.
    """
    if not other:
        raise InvalidArgument("--to: the other engine has no name")
    here, there = kind_of(engine), kind_of(other)
    capabilities, unasked = None, ""
    if there not in (EMBEDDED, DOCKER):
        try:
            capabilities = asyncio.run(_capabilities(other))
        except StackrError as error:
            unasked = error.message
    rows = compare_engines(project, here, there, capabilities)
    return Comparison(here, there, rows, unasked)


async def _capabilities(name: str) -> WorkloadCapabilities | None:
    async with await connect_either(name, read_only=True, start=False) as engine:
        found = engine.capabilities
        return found if isinstance(found, WorkloadCapabilities) else None
