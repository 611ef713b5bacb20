"""What a stack's documents change against another version of its file, or against a revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stackr.planner.dialects import dialect_of
from stackr.planner.observe.revision import find_revision
from stackr.planner.plan.model import Change, Kind, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.document_versions import compare_documents, moved_to
from stackr.planner.review.documents import for_document_readers
from stackr.planner.workloads.dialect import Dialect, Rendered
from stackr.planner.workloads.revision import KeptRevision, returning
from stackr.runtime.workloads import Workloads
from stackr.spec.archive import restored
from stackr.spec.model.project import Project
from stackr.stack.base import open_base
from stackr.stack.diff import History
from stackr.stack.source import Source
from stackr.stack.workloads.converge import ClusterGoal, check_options
from stackr.stack.workloads.history import kept_revisions
from stackr.stack.workloads.planning import rendered

__all__ = [
    "cluster_history",
    "documents_against_base",
    "documents_against_revision",
    "documents_of_revision",
]


def documents_against_base(
    base: str,
    source: Source,
    project: Project,
    options: UpOptions,
    name: str,
    *,
    detail: bool = False,
) -> Plan:
    """From the file as `base` has it, a path or a git revision; no engine is asked.

    name: of the dialect. What such an engine can do is taken to be all that there is.
    Raises InvalidProject for what is wrong in either file, NotFound for a revision that is not
    there.
    """
    check_options(options)
    dialect, wanted = dialect_of(name), rendered(project, options, name)
    with open_base(base, source, project, services=options.services) as other:
        before = rendered(moved_to(other, project.working_dir), UpOptions(), name)
    plan = compare_documents(before, wanted, dialect, options)
    return for_document_readers(plan, wanted, dialect, detail=detail)


async def documents_against_revision(
    cluster: Workloads, goal: ClusterGoal, number: int, *, detail: bool = False
) -> Plan:
    """From a revision that the cluster keeps. Raises NotFound where it keeps none of this number.

    Images are compared by what the file says of them; no registry is asked.
    """
    dialect = dialect_of(cluster.dialect)
    kept = await kept_revisions(cluster, goal.wanted.project.name)
    plan = compare_documents(_then(kept, number, dialect), goal.wanted, dialect, goal.options)
    return for_document_readers(plan, goal.wanted, dialect, detail=detail)


async def cluster_history(cluster: Workloads, project: str) -> History:
    kept = await kept_revisions(cluster, project)
    dialect = dialect_of(cluster.dialect)
    return History(
        tuple(each.revision for each in kept),
        lambda number: documents_of_revision(kept, number, dialect),
    )


def documents_of_revision(kept: Sequence[KeptRevision], number: int, dialect: Dialect) -> Plan:
    """What a revision changed against the one before that is kept; of the first one, all of it.

    kept: oldest first. Raises NotFound where none has this number.
    """
    after = _then(kept, number, dialect)
    earlier = [each for each in kept if each.revision.number < number and each.revision.archive]
    if earlier:
        before = _then(kept, earlier[-1].revision.number, dialect)
    else:
        before = Rendered(after.project)
    plan = compare_documents(before, after, dialect, UpOptions(remove_orphans=True))
    return replace(plan, changes=tuple(map(_gone, plan.changes)))


def _then(kept: Sequence[KeptRevision], number: int, dialect: Dialect) -> Rendered:
    find_revision([each.revision for each in kept], number)
    then = next(each for each in kept if each.revision.number == number)
    return returning(then, dialect, restored(then.revision.archive, {}))


def _gone(change: Change) -> Change:
    is_orphan = change.kind is Kind.REMOVE and change.cause == "orphan"
    return replace(change, cause="not there any more") if is_orphan else change
