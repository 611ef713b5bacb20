"""What a stack changes against another version of its file, or against a revision."""

from __future__ import annotations

import os

from stackr.planner.compare import compare, moved
from stackr.planner.desired import Desired, desired
from stackr.planner.options import UpOptions
from stackr.planner.plan import Plan
from stackr.planner.revision import find_revision
from stackr.runtime.protocol import Runtime
from stackr.spec.archive import restored
from stackr.spec.model.project import Project
from stackr.stack.address import is_of_this_machine
from stackr.stack.base import open_base
from stackr.stack.history import read_history
from stackr.stack.source import Source

__all__ = ["plan_against_base", "plan_against_revision"]


def plan_against_base(
    base: str,
    source: Source,
    project: Project,
    wanted: Desired,
    options: UpOptions,
    engine: str | None = None,
) -> Plan:
    """From the file as `base` has it, a path or a git revision; no engine is asked.

    Raises InvalidProject for what is wrong in it, NotFound for a revision that is not there.
    """
    with open_base(base, source, project, services=options.services) as other:
        before = desired(other, bound_files=is_of_this_machine(engine))
        before = moved(before, other.working_dir, project.working_dir)
    return compare(before, wanted, options)


async def plan_against_revision(
    runtime: Runtime, number: int, wanted: Desired, options: UpOptions, engine: str | None = None
) -> Plan:
    """From a revision that the engine keeps. Raises NotFound where it keeps none of this number."""
    revision = find_revision(await read_history(runtime, wanted.project), number)
    project = restored(revision.archive, os.environ)
    scale = {name: n for name, n in revision.replicas.items() if name in project.services}
    is_here = is_of_this_machine(engine)
    return compare(desired(project, UpOptions(scale=scale), bound_files=is_here), wanted, options)
