"""Stack files made for one test, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidProject
from stackr.spec.load import LoadOptions, load, load_tree, resolve
from stackr.spec.model.project import Project

Files = dict[str, str]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Files], Path]:
    """Writes files into a new project folder; returns the folder."""

    def write_files(files: Files) -> Path:
        folder = tmp_path / "proj"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return write_files


@pytest.fixture
def project(write: Callable[[Files], Path]) -> Callable[..., Project]:
    """Loads a project from texts: one of compose.yaml, or several by name."""

    def load_project(
        texts: str | Files, /, env: dict[str, str] | None = None, **options: Any
    ) -> Project:
        folder = write({"compose.yaml": texts} if isinstance(texts, str) else texts)
        return load(LoadOptions(**options), env or {}, folder)

    return load_project


@pytest.fixture
def typed(write: Callable[[Files], Path]) -> Callable[..., dict[str, Any]]:
    """The typed tree of a project, as `config` prints from it."""

    def resolve_project(texts: str | Files, /, **options: Any) -> dict[str, Any]:
        folder = write({"compose.yaml": texts} if isinstance(texts, str) else texts)
        return resolve(load_tree(LoadOptions(**options), {}, folder))

    return resolve_project


@pytest.fixture
def problems(project: Callable[..., Project]) -> Callable[..., list[str]]:
    """The problems that a project is refused for."""

    def refused(
        texts: str | Files, /, env: dict[str, str] | None = None, **options: Any
    ) -> list[str]:
        with pytest.raises(InvalidProject) as caught:
            project(texts, env, **options)
        assert caught.value.problems
        return [str(problem) for problem in caught.value.problems]

    return refused
