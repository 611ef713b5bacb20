"""Whose an isolated copy is, as the labels of what it has say. Pure."""

from __future__ import annotations

from stackr.runtime import labels
from stackr.spec.model.project import Project

__all__ = ["COPY_LABELS", "copy_labels"]

COPY_LABELS = (labels.ISOLATED, labels.FOLDER, labels.SEEN)


def copy_labels(project: Project) -> dict[str, str]:
    """{} of what is no copy. They are no part of what a change is seen by."""
    isolated = project.isolated
    if isolated is None:
        return {}
    return dict(zip(COPY_LABELS, (isolated.name, isolated.folder, isolated.seen), strict=True))
