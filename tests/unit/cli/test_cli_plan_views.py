"""A plan's forms: text for people, Markdown for a pull request, annotations for GitHub."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from stackr.cli.views.output import Output
from stackr.cli.views.places import Places, web_address
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
        "demo: 1 to recreate, 2 unchanged; 1 risk",
        "",
        "± container demo-web-1  recreate: environment changed",
        '    environment.LEVEL: "info" → "debug"  (forces recreate)  compose.yaml:7, $LEVEL',
        "    configs[run].content:  (forces recreate)",
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
        f"    {changed}  (forces recreate)",
        "    secrets[word]: content changed  (forces recreate)",
    ]
    assert f"\n! {changed}  (forces recreate)\n! secrets[word]: content ch" in plan_markdown(
        plan(volume, secret)
    )
    assert changed in next(plan_annotations(plan(volume)))


def test_a_narrow_terminal_gets_the_source_below() -> None:
    lines = text(plan(LEVEL), width=60)
    assert '    environment.LEVEL: "info" → "debug"  (forces recreate)' in lines
    assert "      compose.yaml:7, $LEVEL" in lines
    assert all(len(line) <= 60 for line in lines)


def test_markdown() -> None:
    shown = plan_markdown(plan(LEVEL, SCRIPT, risks=(RISK,)))
    assert shown.startswith("<!-- stackr diff -->\n### stackr diff — demo: 1 to recreate")
    assert "> [!WARNING]\n> - `privileged`: " in shown
    assert '- environment.LEVEL: "info"\n+ environment.LEVEL: "debug"  (forces recreate)' in shown
    assert "\n`compose.yaml:7`, $LEVEL\n" in shown
    assert "-b\n+c" in shown
    assert shown.count("<details open>") == shown.count("</details>") == 1


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
        Change(Resource("container", f"demo-{n}"), Kind.RECREATE, f"x{n}", (LEVEL,) * 20)
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
        'environment.LEVEL: "info" → "debug", $LEVEL (forces recreate)'
    )
    assert summary == "demo: 1 to recreate, 2 unchanged"


def test_an_annotation_is_one_line() -> None:
    made = annotation("error", "a\nb 100%", "t: x, y", Source("a,b:c.yml", 1, 1))
    place = "file=a%2Cb%3Ac.yml,line=1,col=1"
    assert made == f"::error {place},title=stackr%3A t%3A x%2C y::a%0Ab 100%25"


def test_drift_is_marked() -> None:
    moved = FieldChange("image", "a", "b", note="the tag moved", origin=Origin.DRIFT)
    assert any("(drift, forces recreate; the tag moved)" in line for line in text(plan(moved)))


def many(count: int, fields: tuple[FieldChange, ...] = (LEVEL,)) -> Plan:
    """So many services, each of one container, with the same change at a place of its own."""

    def change(number: int) -> Change:
        source = replace(PLACE, line=number)
        shown = tuple(replace(field, source=source) for field in fields)
        resource = Resource("container", f"demo-s{number}-1", f"s{number}", 1)
        return Change(resource, Kind.RECREATE, "environment changed", shown, source=source)

    return Plan("demo", changes=tuple(map(change, range(1, count + 1))))


def test_the_same_change_of_many_is_told_once() -> None:
    lines = text(many(15))
    names = ", ".join(f"demo-s{number}-1" for number in range(1, 16))
    assert lines[2:] == [
        "± 15 containers  recreate: environment changed",
        f"    {names}",
        '    environment.LEVEL: "info" → "debug"  (forces recreate)'
        "  compose.yaml:1, compose.yaml:2, compose.yaml:3 and 12 more",
    ]
    assert plan_markdown(many(15)).count("<details") == 1
    assert len(list(plan_annotations(many(15)))) == 15 + 1  # each at its own line


def test_what_differs_in_anything_is_told_apart() -> None:
    one, other = many(2).changes
    other = replace(other, cause="image changed")
    assert len([line for line in text(Plan("demo", changes=(one, other))) if "±" in line]) == 2


def test_the_summary_comes_again_after_a_screen() -> None:
    short, long = many(2), Plan("demo", changes=many(1, (LEVEL,) * 30).changes, risks=(RISK,))
    assert text(short)[-1] != text(short)[0]
    assert text(long)[-1] == text(long)[0] == "demo: 1 to recreate; 1 risk"


def test_an_orphan_that_stays_is_counted() -> None:
    orphan = Change(WEB, Kind.ORPHAN, "stays; --remove-orphans removes it")
    assert text(Plan("demo", changes=(orphan,), unchanged=2)) == [
        "demo: no changes, 1 orphan, 2 unchanged",
        "",
        "? container demo-web-1  orphan: stays; --remove-orphans removes it",
    ]


@pytest.mark.parametrize(
    ("remote", "web"),
    [
        ("https://github.com/o/r", "https://github.com/o/r/blob"),
        ("https://user:token@github.com/o/r.git", "https://github.com/o/r/blob"),
        ("git@github.com:o/r.git", "https://github.com/o/r/blob"),
        ("ssh://git@github.com/o/r.git", "https://github.com/o/r/blob"),
        ("https://x:y@gitlab.example.org/g/s/r.git", "https://gitlab.example.org/g/s/r/-/blob"),
        ("https://ghe.example.org/o/r", "https://ghe.example.org/o/r/blob"),
        ("https://elsewhere.example.org/o/r", ""),
        ("/srv/git/r.git", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_repository(remote: str, web: str) -> None:
    assert web_address(remote, {"GITHUB_SERVER_URL": "https://ghe.example.org"}) == web


def test_paths_count_from_the_root(tmp_path: Path) -> None:
    places = Places(str(tmp_path), "https://github.com/o/r/blob/1234", str(tmp_path / "deploy"))
    inside, outside = Source("compose.yaml", 7, 1), Source("../../x.yaml", 7, 1)
    assert places.file(inside) == "deploy/compose.yaml"
    assert places.link(inside) == "https://github.com/o/r/blob/1234/deploy/compose.yaml#L7"
    assert places.file(outside) == "../../x.yaml"
    assert places.link(outside) == ""
    assert "file=deploy/compose.yaml,line=7" in next(plan_annotations(plan(LEVEL), places))
