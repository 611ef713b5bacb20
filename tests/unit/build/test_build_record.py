"""What an image was built from, and what of it is different: from Dockerfiles and folders alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackr.build.context import ignore_of, read_context
from stackr.build.digests import Digests
from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError
from stackr.build.inputs import Base, Ingredients, record_of
from stackr.build.record import Record, differences, first_miss, parse_record
from stackr.build.stages import plan_of

DOCKERFILE = """\
FROM base AS build
ARG VERSION=1
COPY src /src
RUN make VERSION=$VERSION
RUN check

FROM base
COPY --from=build /out /out
CMD ["/out"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/app.py").write_text("one")
    (tmp_path / "unread").write_text("one")
    return tmp_path


def record(
    folder: Path,
    text: str = DOCKERFILE,
    *,
    base: str = "sha256:1",
    secret: bool = False,
    **arguments: str,
) -> Record:
    tree = read_context(folder, ignore_of(folder), Digests(None))
    images = {"base": Base(base)}
    given = Ingredients(tree, {}, images, {}, is_secret=lambda name: secret)
    return record_of(plan_of(parse(text), arguments=arguments), given)


def words(before: Record, now: Record) -> list[str]:
    kept = parse_record(before.encode())
    assert kept is not None
    return [each.words for each in differences(kept, now)]


def test_nothing_is_different_when_nothing_that_is_read_is(folder: Path) -> None:
    before = record(folder)
    (folder / "unread").write_text("two")
    assert words(before, record(folder, f"# a comment\n{DOCKERFILE}")) == []


def test_a_changed_file_says_where_the_build_begins(folder: Path) -> None:
    before = record(folder)
    (folder / "src/app.py").write_text("two")
    (folder / "src/new.py").write_text("")
    now = record(folder)
    assert words(before, now) == ["src/app.py changed", "src/new.py is new"]
    miss = first_miss(before, now)
    assert miss is not None
    assert (miss[0], miss[1].line, miss[1].text) == ("build", 3, "COPY src /src")
    assert miss[2] == 4  # two steps of its stage, the copy from it, and what follows that


def test_permissions_count(folder: Path) -> None:
    before = record(folder)
    (folder / "src/app.py").chmod(0o755)
    (found,) = differences(before, record(folder))
    assert (found.path, found.old, found.new) == ("modes.src/app.py", "0644", "0755")
    assert found.words == "src/app.py has mode 0755"


def test_an_argument_a_base_image_and_an_instruction(folder: Path) -> None:
    before = record(folder)
    assert words(before, record(folder, VERSION="2")) == ["ARG VERSION 1 → 2"]
    assert words(before, record(folder, base="sha256:2")) == ["base image base moved"]
    other = DOCKERFILE.replace("RUN check", "RUN check --all")
    assert words(before, record(folder, other)) == ["Dockerfile:5 changed"]


def test_a_stage_has_the_arguments_of_the_one_that_it_begins_with(folder: Path) -> None:
    text = "FROM base AS a\nARG V=1\nFROM a AS b\nRUN echo $V\n"
    before, now = record(folder, text), record(folder, text, V="2")
    assert before.steps["a"] == now.steps["a"]
    assert before.steps["b"][1] != now.steps["b"][1]


def test_a_secret_argument_is_told_and_not_kept(folder: Path) -> None:
    before = record(folder, secret=True, VERSION="hunter2")
    assert "hunter2" not in str(parse_record(before.encode()))
    assert words(before, record(folder, secret=True, VERSION="x")) == ["ARG VERSION changed"]


def test_many_files_are_told_by_their_folder(folder: Path) -> None:
    for number in range(400):
        place = folder / f"src/{number % 7}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(str(number))
    before = record(folder)
    assert len(before.encode()) < 2000
    (folder / "src/3/3.txt").write_text("other")
    assert words(before, record(folder)) == ["src/3/ changed"]


def test_what_no_build_gets_past_is_an_error_with_its_line(folder: Path) -> None:
    with pytest.raises(DockerfileError, match=r"line 2.*file not found"):
        record(folder, "FROM base\nCOPY missing /\n")


@pytest.mark.parametrize("label", ["", "x", "e30=", "eJyrVspRslJQSs5ILEpVslKoBQA0RwVz", "é"])
def test_a_label_that_is_none_is_no_record(label: str) -> None:
    assert parse_record(label) is None


def test_a_base_that_was_not_there_is_another_one_later(folder: Path) -> None:
    before = record(folder, base="")
    assert replace(before, texts={}) != record(folder)
