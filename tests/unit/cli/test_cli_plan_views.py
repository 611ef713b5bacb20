"""A plan's forms: text for people, Markdown for a pull request, annotations for GitHub."""

from __future__ import annotations

import io

import pytest

from stackr.cli.views.output import Output
from stackr.cli.views.plan import plan_lines
from stackr.cli.views.plan_github import annotation, plan_annotations
from stackr.cli.views.plan_markdown import MAX_CHARACTERS, plan_markdown
from stackr.planner.plan.model import (
    Change,
    FieldChange,
    Kind,
    Origin,
    Plan,
    Resource,
    Risk,
    RiskLevel,
    Source,
)

PLACE = Source("compose.yaml", 7, 14, via="$LEVEL")
WEB = Resource("container", "demo-web-1", "web", 1)


def plan(*fields: FieldChange, risks: tuple[Risk, ...] = ()) -> Plan:
    change = Change(WEB, Kind.RECREATE, "environment changed", fields, source=PLACE)
    return Plan("demo", changes=(change,), unchanged=2, risks=risks)


LEVEL = FieldChange("environment.LEVEL", "info", "debug", source=PLACE)
SCRIPT = FieldChange("configs[run].content", "a\nb\n", "a\nc\n")
RISK = Risk("privileged", "services.web.privileged", 'service "web" is privileged', source=PLACE)


def text(plan: Plan, *, width: int | None = None) -> list[str]:
    class Sized(Output):
        __slots__ = ()

        @property
        def width(self) -> int:
            return width or 80

    output = Sized(io.StringIO(), is_terminal=width is not None, colour=False)
    return list(plan_lines(plan, output))


def test_text() -> None:
    assert text(plan(LEVEL, SCRIPT, risks=(RISK,))) == [
        "demo: 1 to recreate, 2 unchanged",
        "",
        "± container demo-web-1  recreate: environment changed",
        '    environment.LEVEL: "info" → "debug"  compose.yaml:7, $LEVEL',
        "    configs[run].content:",
        "      @@ -1,2 +1,2 @@",
        "       a",
        "      -b",
        "      +c",
        "",
        '! privileged  service "web" is privileged  compose.yaml:7, $LEVEL',
    ]


def test_what_a_file_holds() -> None:
    volume = FieldChange("volumes[/etc/x.conf].sha256", "a" * 64, "b" * 64)
    secret = FieldChange("secrets[word].sha256", "****", "****", is_secret=True)
    changed = "volumes[/etc/x.conf]: content changed (sha256 aaaaaaaaaaaa → bbbbbbbbbbbb)"
    assert text(plan(volume, secret))[3:] == [
        f"    {changed}",
        "    secrets[word]: content changed",
    ]
    assert f"\n! {changed}\n! secrets[word]: content changed\n" in plan_markdown(
        plan(volume, secret)
    )
    assert changed in next(plan_annotations(plan(volume)))


def test_a_narrow_terminal_gets_cut_lines_and_the_source_below() -> None:
    lines = text(plan(LEVEL), width=50)
    assert '    environment.LEVEL: "info" → "debug"' in lines
    assert "      compose.yaml:7, $LEVEL" in lines
    assert all(len(line) <= 50 for line in lines)


def test_markdown() -> None:
    shown = plan_markdown(plan(LEVEL, SCRIPT, risks=(RISK,)))
    assert shown.startswith("<!-- stackr diff -->\n### stackr diff — demo: 1 to recreate")
    assert "> [!WARNING]\n> - `privileged`: " in shown
    assert '- environment.LEVEL: "info"\n+ environment.LEVEL: "debug"  # compose.yaml:7' in shown
    assert "-b\n+c" in shown
    assert shown.count("<details>") == shown.count("</details>") == 1


def test_markdown_does_not_let_values_out() -> None:
    hostile = FieldChange("command", "x", "```\n</details><script>`````")
    shown = plan_markdown(
        Plan("a*b", changes=(Change(WEB, Kind.CREATE, "<b>&", (hostile,)),), warnings=("<img>",))
    )
    assert "``````diff" in shown
    assert "&lt;b&gt;&amp;" in shown
    assert "&lt;img&gt;" in shown
    assert "a\\*b" in shown


def test_markdown_fits_a_comment() -> None:
    many = tuple(
        Change(Resource("container", f"demo-{n}"), Kind.RECREATE, "x", (LEVEL,) * 20)
        for n in range(500)
    )
    shown = plan_markdown(Plan("demo", changes=many))
    assert len(shown) <= MAX_CHARACTERS
    assert "more changes do not fit here" in shown


def test_a_value_of_any_length_fits() -> None:
    huge = FieldChange("command", None, "y" * 100_000)
    assert len(plan_markdown(plan(huge))) < 5_000


@pytest.mark.parametrize(
    ("level", "word", "alert"),
    [(RiskLevel.WARN, "warning", "[!WARNING]"), (RiskLevel.ERROR, "error", "[!CAUTION]")],
)
def test_levels(level: RiskLevel, word: str, alert: str) -> None:
    risk = Risk("privileged", "services.web", "m", level, PLACE)
    made = plan(LEVEL, risks=(risk,))
    assert f"::{word} file=compose.yaml,line=7,col=14,title=stackr%3A privileged::m" in list(
        plan_annotations(made)
    )
    assert alert in plan_markdown(made)


def test_annotations_stand_on_the_changed_line() -> None:
    first, summary = plan_annotations(plan(LEVEL))
    assert first == (
        "::notice file=compose.yaml,line=7,col=14,"
        "title=stackr%3A recreate container demo-web-1::"
        'environment.LEVEL: "info" → "debug", $LEVEL'
    )
    assert summary == "demo: 1 to recreate, 2 unchanged"


def test_an_annotation_is_one_line() -> None:
    made = annotation("error", "a\nb 100%", "t: x, y", Source("a,b:c.yml", 1, 1))
    place = "file=a%2Cb%3Ac.yml,line=1,col=1"
    assert made == f"::error {place},title=stackr%3A t%3A x%2C y::a%0Ab 100%25"


def test_drift_is_marked() -> None:
    moved = FieldChange("image", "a", "b", note="the tag moved", origin=Origin.DRIFT)
    assert any("(drift; the tag moved)" in line for line in text(plan(moved)))
