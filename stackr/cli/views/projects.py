"""Projects as `ls` shows them: how many containers are in which state, and the stack files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stackr.cli.views.table import table
from stackr.runtime import labels
from stackr.runtime.types import ContainerState

__all__ = ["ProjectRow", "project_rows", "projects_json", "projects_table"]

_MIN_WIDTH = 20


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """status: `exited(1), running(2)`. files: absolute paths between commas, or `N/A`.

    folder: of an isolated copy; "" for none. isolated: its name.
    """

    name: str
    status: str
    files: str
    folder: str = ""
    isolated: str = ""


def project_rows(containers: Iterable[ContainerState]) -> list[ProjectRow]:
    """One row a project, by name."""
    by_project: dict[str, list[ContainerState]] = {}
    for container in containers:
        by_project.setdefault(container.labels.get(labels.PROJECT, ""), []).append(container)
    return [
        ProjectRow(
            name,
            _status(own),
            _files(own),
            own[0].labels.get(labels.FOLDER, ""),
            own[0].labels.get(labels.ISOLATED, ""),
        )
        for name, own in sorted(by_project.items())
    ]


def _status(containers: Iterable[ContainerState]) -> str:
    counts = Counter(container.state for container in containers)
    return ", ".join(f"{state}({counts[state]})" for state in sorted(counts))


def _files(containers: Sequence[ContainerState]) -> str:
    """Those of all containers, which may have been made from different ones."""
    texts = [container.labels.get(labels.CONFIG_FILES) for container in containers]
    if None in texts:
        return "N/A"
    return ",".join(dict.fromkeys(path for text in texts if text for path in text.split(",")))


def projects_table(rows: Sequence[ProjectRow]) -> list[str]:
    """As Docker Compose has it; with a column of folders where there are isolated copies."""
    headings = ["NAME", "STATUS", "CONFIG FILES"]
    cells = [[row.name, row.status, row.files] for row in rows]
    if any(row.isolated for row in rows):
        headings.append("ISOLATED FOR")
        cells = [[*each, row.folder] for each, row in zip(cells, rows, strict=True)]
    return table(headings, cells, min_width=_MIN_WIDTH)


def projects_json(rows: Sequence[ProjectRow]) -> list[dict[str, str]]:
    return [
        {
            "Name": row.name,
            "Status": row.status,
            "ConfigFiles": row.files,
            **({"Isolated": row.isolated, "Folder": row.folder} if row.isolated else {}),
        }
        for row in rows
    ]
