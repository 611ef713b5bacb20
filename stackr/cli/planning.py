"""From a loaded project to its plan: what is desired, what the engine has, and the difference."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stackr.errors import InvalidProject
from stackr.planner.desired import Desired, desired
from stackr.planner.observed import observe

if TYPE_CHECKING:
    from stackr.cli.options import GlobalOptions
    from stackr.planner.options import UpOptions
    from stackr.planner.plan import Plan
    from stackr.runtime.protocol import Runtime
    from stackr.spec.model.project import Project

__all__ = ["desire", "plan_up"]


def desire(project: Project, up_options: UpOptions, options: GlobalOptions) -> Desired:
    """What should exist. Raises InvalidProject for what the engine in use does not honour."""
    if not project.services:
        raise InvalidProject("no service selected")
    if _is_embedded(options):
        from stackr.spec.support import unsupported

        problems = unsupported(project)
        if problems:
            raise InvalidProject(str(problems[0]), problems=problems)
    return desired(project, up_options, all_resources=options.all_resources)


def _is_embedded(options: GlobalOptions) -> bool:
    return (options.engine or os.environ.get("STACKR_ENGINE") or "embedded") == "embedded"


async def plan_up(runtime: Runtime, wanted: Desired, up_options: UpOptions) -> Plan:
    """The plan that brings the engine to what is desired; nothing is changed by making it."""
    from stackr.planner.reconcile import reconcile

    return reconcile(wanted, await observe(runtime, wanted.project, wanted), up_options)
