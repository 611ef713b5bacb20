"""Real stack files on a Swarm: rendered or refused with their places, they come back unchanged.

What the Swarm answers is made up here (`swarm_answers`); tests/integration/swarm asks a real one.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from swarm_answers import answered

from stackr.errors import InvalidProject
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.workloads import Observation, ObservedDocument, WorkloadCapabilities
from stackr.spec.load import load
from stackr.spec.model.project import Project
from stackr.spec.session import LoadOptions

_ARCHIVE = Path(__file__).with_name("cases.tar.xz")
_ENGINE = WorkloadCapabilities((1, 52), 3)
_EVERY = 4
"""Of the cases that Docker Compose takes, one in so many."""
_LEAST = 60
_PLACED = re.compile(r"[^:]+:\d+:\d+: ")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    lines = (folder / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cases = [line.split("\t")[:2] for line in lines]
    files = [folder / case / file for case, file in cases if _is_taken(folder / case)]
    return [_loaded(file) for file in files[::_EVERY]]


def _is_taken(case: Path) -> bool:
    return (case / "expected.json").exists()


def _loaded(file: Path) -> Project:
    environ = {"HOME": "/home/user", "PATH": "/bin", "PWD": str(file.parent)}
    return load(LoadOptions(files=(file.name,)), environ, file.parent)


def _rendered(project: Project) -> Rendered | InvalidProject:
    try:
        return Swarm().render(project, _ENGINE)
    except InvalidProject as error:
        return error


def test_what_is_refused_has_its_place(projects: list[Project]) -> None:
    refused = [each for each in map(_rendered, projects) if isinstance(each, InvalidProject)]
    problems = [problem for error in refused for problem in error.problems]
    assert problems
    assert [problem for problem in problems if not _PLACED.match(problem)] == []


def test_what_is_rendered_comes_back_unchanged(projects: list[Project]) -> None:
    dialect = Swarm()
    found = [each for each in map(_rendered, projects) if isinstance(each, Rendered)]
    assert len(found) > _LEAST
    for rendered in found:
        assert dialect.render(rendered.project, _ENGINE) == rendered
        there = answered(rendered.documents, rendered.project.name)
        others = tuple(ObservedDocument(kind, name, name, 1) for kind, name, _ in rendered.external)
        seen = Observation(there.project, there.documents, others, there.names)
        plan = reconcile_documents(rendered, seen, dialect)
        assert (str(plan), plan.changes) == ("", ()), rendered.project.compose_files
