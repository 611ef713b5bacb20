"""What a stack changes against another version of its file, or against a revision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from stackr.planner.desired.image_build import PlannedBuild
from stackr.planner.desired.project import Desired, desired
from stackr.planner.observe.revision import Revision, find_revision
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.compare import compare, moved
from stackr.runtime.protocol import Runtime
from stackr.spec.archive import restored
from stackr.spec.model.project import Project
from stackr.stack.address import is_of_this_machine
from stackr.stack.base import open_base
from stackr.stack.builds import are_built
from stackr.stack.git_files import GitFiles
from stackr.stack.history import read_history
from stackr.stack.source import Source

__all__ = [
    "History",
    "host_history",
    "plan_against_base",
    "plan_against_revision",
    "plan_of_revision",
]


@dataclass(frozen=True, slots=True)
class History:
    """What an engine keeps of a stack. revisions: oldest first.

    changes: what one of these numbers changed; raises NotFound for any other.
    """

    revisions: tuple[Revision, ...]
    changes: Callable[[int], Plan]


async def host_history(runtime: Runtime, project: str, engine: str | None = None) -> History:
    revisions = await read_history(runtime, project)
    return History(tuple(revisions), lambda number: plan_of_revision(revisions, number, engine))


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
        builds = _builds(base, other, project) if are_built(wanted, options) else {}
    return compare(before, wanted, options, builds)


def _builds(base: str, other: Project, project: Project) -> Mapping[str, PlannedBuild]:
    # The Dockerfile parser takes a part of a command's start, which those without builds save.
    from stackr.stack.base_builds import base_builds

    if os.path.exists(base):
        return base_builds(other, project, None)
    with contextlib.closing(GitFiles.open(project.working_dir, base)) as files:
        return base_builds(other, project, files)


async def plan_against_revision(
    runtime: Runtime, number: int, wanted: Desired, options: UpOptions, engine: str | None = None
) -> Plan:
    """From a revision that the engine keeps. Raises NotFound where it keeps none of this number."""
    revision = find_revision(await read_history(runtime, wanted.project), number)
    return compare(_desired_by(revision, engine), wanted, options)


def plan_of_revision(revisions: Sequence[Revision], number: int, engine: str | None = None) -> Plan:
    """What a revision changed against the one before that is kept; of the first one, all of it.

    revisions: all that are kept, oldest first. Raises NotFound where none has this number.
    """
    after = _desired_by(find_revision(revisions, number), engine)
    earlier = [each for each in revisions if each.number < number and each.archive]
    if earlier:
        return compare(_desired_by(earlier[-1], engine), after)
    return compare(replace(after, services={}, networks={}, volumes={}), after)


def _desired_by(revision: Revision, engine: str | None) -> Desired:
    project = restored(revision.archive, os.environ)
    scale = {name: n for name, n in revision.replicas.items() if name in project.services}
    is_here = is_of_this_machine(engine)
    return desired(project, UpOptions(scale=scale), bound_files=is_here)
