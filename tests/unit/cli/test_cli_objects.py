"""Commands on single things: their words, tables and figures, without an engine."""

from __future__ import annotations

import json

import pytest

from stackr.cli.main import run
from stackr.cli.objects.command import FlagError
from stackr.cli.objects.filters import filters
from stackr.cli.objects.network import go_time
from stackr.cli.views.table import table
from stackr.cli.views.units import age


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("container ls --nonsense", 125, "no such option: --nonsense"),
        ("container ls -n x", 125, "invalid value for '--last' / '-n'"),
        ("container rm", 1, "'stackr container rm' requires at least 1 argument"),
        ("container nonsense", 1, 'unknown command "container nonsense"'),
        ("container lss", 1, 'unknown command "container lss", did you mean "ls"?'),
        ("--dry-run container ls", 1, "container: --dry-run: not supported: it does what"),
        ("-f x.yaml container ls", 1, "container: --file: not supported: it is about a stack"),
        ("--json inspect x", 1, "inspect: --json: not supported: its output is JSON"),
    ],
)
def test_mistakes_end_as_with_docker(
    words: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == code
    assert said in capsys.readouterr().err


def test_filters() -> None:
    assert filters([]) is None
    assert json.loads(filters(["label=a=b", "label=c", "Status= x"]) or "") == {
        "label": {"a=b": True, "c": True},
        "status": {"x": True},
    }
    with pytest.raises(FlagError, match="bad format of filter"):
        filters(["x"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (119, "About a minute"),
        (3599, "59 minutes"),
        (5399, "About an hour"),
        (5401, "2 hours"),
        (47.4 * 3600, "47 hours"),
        (47.6 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_ages_are_rounded_as_docker_does(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_a_table_keeps_the_spaces_before_an_empty_last_cell() -> None:
    assert table(("A", "B"), [("x", "")], keeps_end=True) == ["A   B", "x   "]
    assert table(("A", "B"), [("x", "")]) == ["A   B", "x"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-29T21:20:34.042651790Z", "2026-11-29 21:20:34.04265179 +0000 UTC"),
        ("2026-11-29T21:20:34.000000000Z", "2026-11-29 21:20:34 +0000 UTC"),
        ("2026-11-29T21:20:34.5+01:00", "2026-11-29 21:20:34.5 +0100 +0100"),
    ],
)
def test_times_as_go_prints_them(text: str, wanted: str) -> None:
    assert go_time(text) == wanted
