"""Which file is the stack's: the names that are found, and what is told of files that are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.errors import InvalidProject
from stackr.spec.load import LoadOptions, load
from stackr.spec.model.project import Project

Load = Callable[..., Project]
Write = Callable[[dict[str, str]], Path]
TEXT = "services: {web: {image: app}}"


def told(folder: Path, *files: str) -> tuple[str, str | None]:
    """The first problem of a folder's stack, and the way out."""
    with pytest.raises(InvalidProject) as caught:
        load(LoadOptions(files=files), {}, folder)
    problem = caught.value.problems[0]
    return str(problem), getattr(problem, "hint", None)


def test_a_stack_file_has_overrides_of_its_own(project: Load) -> None:
    found = project(
        {
            "stack.yml": TEXT,
            "stack.override.yml": "services: {web: {hostname: a}}",
            "compose.override.yml": "services: {web: {hostname: b}}",
        }
    )
    assert found.services["web"].hostname == "a"
    assert [Path(file).name for file in found.compose_files] == ["stack.yml", "stack.override.yml"]


def test_a_compose_file_wins_and_takes_no_overrides_of_a_stack_file(project: Load) -> None:
    found = project(
        {"compose.yaml": TEXT, "stack.override.yml": "services: {web: {hostname: a}}"},
    )
    assert found.services["web"].hostname is None


def test_a_single_file_that_could_be_meant_is_named(write: Write) -> None:
    folder = write({"shop.yaml": TEXT, "other.yml": "a: 1", "broken.yml": "a: [", "k.yaml": "- 1"})
    assert told(folder) == (
        "no configuration file provided: not found",
        "shop.yaml looks like a stack file: use -f shop.yaml",
    )


def test_several_files_that_could_be_meant_are_named(write: Write) -> None:
    folder = write({"b.yml": TEXT, "a b.yaml": TEXT})
    assert told(folder)[1] == "these look like stack files: a b.yaml, b.yml; choose one by -f"


def test_with_no_such_file_the_usual_name_is_told(write: Write) -> None:
    folder = write({"x.txt": TEXT})
    hint = f'neither compose.yaml nor stack.yaml is in "{folder}" or above it'
    assert told(folder)[1] == f"{hint}: create compose.yaml, or use -f"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Dockerfile", "FROM nginx:1\n", 'write "services: {app: {build: .}}" to compose.yaml'),
        ("k.yaml", "apiVersion: v1\nkind: Pod\n", "k.yaml is a Kubernetes manifest (Pod): kubectl"),
    ],
)
def test_a_file_that_may_be_taken_for_one_is_told(
    write: Write, name: str, text: str, said: str
) -> None:
    assert said in (told(write({name: text}))[1] or "")


@pytest.mark.parametrize(
    "text", ["FROM nginx:1\nRUN echo hi\n", '# x\nARG A=1\nFROM a\nCMD ["a: b", {]\n']
)
def test_a_dockerfile_given_as_a_stack_file_is_told(write: Write, text: str) -> None:
    assert "this is a Dockerfile: write" in (
        told(write({"Dockerfile": text}), "Dockerfile")[1] or ""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# web\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
            "web.yaml:2:1: this is a Kubernetes manifest (Deployment), not a stack file",
        ),
        (
            "a: 1\n---\nkind: Service\napiVersion: v1\n",
            "web.yaml:4:1: this is a Kubernetes manifest (Service), not a stack file",
        ),
        (
            "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
            "web.yaml:1:1: this is a Helm chart's description, not a stack file",
        ),
        ("on: push\njobs: {}\n", "web.yaml:2:1: this is a GitHub workflow, not a stack file"),
        ("openapi: 3.1.0\n", "web.yaml:1:1: this is an OpenAPI description, not a stack file"),
        ("stages: [test]\n", "web.yaml:1:1: this is a GitLab pipeline, not a stack file"),
    ],
)
def test_a_file_of_another_tool_is_told_as_such(write: Write, text: str, message: str) -> None:
    found, hint = told(write({"web.yaml": text}), "web.yaml")
    assert found == message
    assert hint is not None
    assert hint.endswith('; a stack file has "services"')


def test_a_stack_file_with_a_strange_key_is_still_one(write: Write) -> None:
    found, _ = told(write({"web.yaml": f"apiVersion: v1\nkind: List\n{TEXT}"}), "web.yaml")
    assert "Kubernetes" not in found
