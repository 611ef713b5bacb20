"""`diff --to`: what a stack means on the engine at hand and on another one."""

from __future__ import annotations

import json

from stackr.cli.session import Session
from stackr.cli.views.comparison import comparison_json, comparison_lines
from stackr.planner.review.portability import Meaning
from stackr.spec.model.project import Project
from stackr.stack.moving import compare_with

__all__ = ["show_comparison"]


def show_comparison(
    session: Session, project: Project, to: str, *, form: str, detail: bool
) -> bool:
    """Whether all of the stack means the same there. form: text or json."""
    found = compare_with(project, session.options.engine, to)
    if found.unasked:
        session.view.warning(
            f"{to} does not say what it can do, so the newest is meant: {found.unasked}"
        )
    told = (project.name, found.here, found.there, found.rows)
    if form == "json":
        session.out.line(json.dumps(comparison_json(*told), indent=2, ensure_ascii=False))
    else:
        for line in comparison_lines(*told, session.out, detail=detail):
            session.out.line(line)
    return all(row.meaning is Meaning.KEPT for row in found.rows)
