"""A whole plan as people see it, at three widths and in a pipe: all of it, and nothing cut.

`STACKR_GOLDEN=write` writes the files anew; they are read in review.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from stackr.cli.views.output import Output
from stackr.cli.views.places import Places
from stackr.cli.views.plan import plan_lines
from stackr.cli.views.plan_github import plan_annotations
from stackr.cli.views.plan_markdown import plan_markdown
from stackr.planner.desired.project import desired
from stackr.planner.plan.model import Plan
from stackr.planner.review.compare import compare, moved
from stackr.spec.load import load
from stackr.spec.session import LoadOptions
from stackr.stack.planning import for_readers

GOLDEN = Path(__file__).parent / "golden" / "plan"
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(GOLDEN)
    before = load(LoadOptions(), environ={}, cwd=GOLDEN / "base")
    project = load(LoadOptions(), environ={}, cwd=GOLDEN)
    wanted = desired(project)
    base = moved(desired(before), before.working_dir, project.working_dir)
    return for_readers(compare(base, wanted), wanted, project)


def sized(columns: int | None, *, colour: bool = False) -> Output:
    class Sized(Output):
        __slots__ = ()

        @property
        def width(self) -> int:
            return columns or 80

        @property
        def height(self) -> int:
            return 24

    return Sized(io.StringIO(), is_terminal=columns is not None, colour=colour)


def check(name: str, shown: str) -> None:
    path = GOLDEN / name
    if os.environ.get("STACKR_GOLDEN") == "write":
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [60, 80, 120, None])
def test_text(plan: Plan, columns: int | None) -> None:
    lines = list(plan_lines(plan, sized(columns)))
    check(f"text-{columns or 'pipe'}.txt", "\n".join(lines) + "\n")
    assert columns is None or max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_colours_change_no_word(plan: Plan, columns: int) -> None:
    """Without colours, `^` below a value has what colours have in place."""
    coloured = [_STYLE.sub("", line) for line in plan_lines(plan, sized(columns, colour=True))]
    plain = [line for line in plan_lines(plan, sized(columns)) if line.strip(" ^") or not line]
    assert coloured == plain


def test_the_words_that_differ_are_marked(plan: Plan) -> None:
    lines = "\n".join(plan_lines(plan, sized(80, colour=True)))
    assert "\x1b[31;1;4mdisable\x1b[0m" in lines
    assert "\x1b[32;1;4mverify-full\x1b[0m" in lines or "\x1b[32;1;4mverify-" in lines


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_every_new_value_is_there(plan: Plan, columns: int) -> None:
    shown = "".join("".join(plan_lines(plan, sized(columns))).split())
    for change in plan.changes:
        for field in change.fields:
            if isinstance(field.new, str):
                assert "".join(field.new.split()) in re.sub(r"\^+", "", shown)
            if field.source is not None:
                assert f"{field.source.file}:{field.source.line}" in shown


def test_markdown(plan: Plan) -> None:
    places = Places(str(GOLDEN.parent), "https://git.example/o/r/blob/1234", str(GOLDEN))
    check("comment.md", plan_markdown(plan, places))


def test_github(plan: Plan) -> None:
    places = Places(str(GOLDEN.parent), "", str(GOLDEN))
    check("annotations.txt", "\n".join(plan_annotations(plan, places)) + "\n")
