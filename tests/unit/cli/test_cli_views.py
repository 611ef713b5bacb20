"""The views' text, at fixed widths and fixed times."""

from __future__ import annotations

import io
import os
import termios

import pytest

from stackr.cli.views.live import label_width, render_row
from stackr.cli.views.logs import LogLines
from stackr.cli.views.output import Output, open_output
from stackr.cli.views.rows import Rows, RowState
from stackr.cli.views.table import table
from stackr.cli.views.units import age, seconds, size
from stackr.errors import InvalidArgument


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "want"), [(0, 80), (1, 20), (132, 132)])
def test_the_width_of_a_terminal(columns: int, want: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 is what a terminal on a serial line says."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.__stdout__", None)  # shutil looks there
    controller, terminal = os.openpty()
    with open(controller, "rb"), open(terminal, "w") as stream:
        termios.tcsetwinsize(terminal, (0, columns))
        assert Output(stream, True, False).width == want


@pytest.mark.parametrize(
    ("value", "want"),
    [(0.04, "0.0s"), (12.34, "12.3s"), (65, "1m05s"), (3600, "1h00m"), (7620, "2h07m")],
)
def test_seconds(value: float, want: str) -> None:
    assert seconds(value) == want


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234, "1.23kB"),
        (83_100_000, "83.1MB"),
        (999_600, "1MB"),
        (150_000_000, "150MB"),
        (2.5e15, "2500TB"),
    ],
)
def test_size(value: float, want: str) -> None:
    assert size(value) == want


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (0.2, "Less than a second"),
        (1.5, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (125, "2 minutes"),
        (3700, "About an hour"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (731 * 86400, "2 years"),
    ],
)
def test_age(value: float, want: str) -> None:
    assert age(value) == want


def test_table() -> None:
    assert table(["NAME", "STATUS"], [["web-1", "Up"], ["database-1", "Exited (0)"]]) == [
        "NAME         STATUS",
        "web-1        Up",
        "database-1   Exited (0)",
    ]


@pytest.mark.parametrize(
    ("terminal", "ansi", "environ", "colour"),
    [
        (True, None, {}, True),
        (True, "auto", {"NO_COLOR": "1"}, False),
        (True, "always", {"NO_COLOR": "1"}, True),
        (True, "never", {}, False),
        (True, None, {"TERM": "dumb"}, False),
        (False, None, {}, False),
        (False, "always", {}, True),
    ],
)
def test_colours(terminal: bool, ansi: str | None, environ: dict[str, str], colour: bool) -> None:
    stream = _Terminal() if terminal else io.StringIO()
    assert open_output(stream, ansi=ansi, environ=environ).colour is colour


def test_an_unknown_colour_choice() -> None:
    with pytest.raises(InvalidArgument, match='--ansi: unknown value "maybe"'):
        open_output(io.StringIO(), ansi="maybe", environ={})


def test_log_lines() -> None:
    out, err = io.StringIO(), io.StringIO()
    lines = LogLines(Output(out, False, False), Output(err, False, False))
    lines.register(["web-1", "database-1"])
    lines.line("web-1", "hello")
    lines.line("database-1", "ready", moment="2026-01-02T13:23:37Z")
    lines.line("web-1", "oops", is_error=True)
    lines.status("web-1", "exited with code 3")
    assert out.getvalue() == (
        "web-1       | hello\ndatabase-1  | 2026-01-02T13:23:37Z ready\nweb-1 exited with code 3\n"
    )
    assert err.getvalue() == "web-1       | oops\n"


def test_log_lines_in_colour_and_without_prefix() -> None:
    out = io.StringIO()
    coloured = LogLines(Output(out, True, True), Output(out, True, True))
    coloured.line("a-1", "x")
    coloured.line("b-1", "y")
    bare = LogLines(Output(out, True, True), Output(out, True, True), prefix=False)
    bare.line("a-1", "z")
    assert out.getvalue() == "\x1b[36ma-1  | \x1b[0mx\n\x1b[33mb-1  | \x1b[0my\nz\n"


def _rows() -> Rows:
    rows = Rows()
    image = rows.get("Image nginx:1.27")
    image.begin("Pulling", 0.0)
    image.transfer(1.0, 10_000_000, 83_000_000)
    image.transfer(2.0, 30_000_000, 83_000_000)
    rows.get("Container demo-web-1").begin("Creating", 1.0)
    rows.get("Container demo-web-1").end("Created", RowState.DONE, 1.5)
    rows.get("Container demo-db-1").end("Error", RowState.FAILED, 2.0)
    return rows


@pytest.mark.parametrize(
    ("width", "want"),
    [
        (
            78,
            [
                "⠋ Image nginx:1.27     Pulling  ━━━━━━━─────────────  30MB / 83MB  20MB/s 2.0s",
                "✔ Container demo-web-1 Created                                            0.5s",
                "✘ Container demo-db-1  Error                                              0.0s",
            ],
        ),
        (
            44,
            [
                "⠋ Image nginx:1.27     Pulling          2.0s",
                "✔ Container demo-web-1 Created          0.5s",
                "✘ Container demo-db-1  Error            0.0s",
            ],
        ),
        (24, ["⠋ Image nginx:1… Pulling", "✔ Container dem… Created", "✘ Container dem… Error"]),
        (20, ["⠋ Image nginx… Pulli", "✔ Container d… Creat", "✘ Container d… Error"]),
    ],
)
def test_rows_fit_the_terminal(width: int, want: list[str]) -> None:
    rows = list(_rows().by_key.values())
    column = label_width(rows, width)
    got = [render_row(row, 2.0, width=width, label_width=column).plain for row in rows]
    assert [line.rstrip() for line in got] == want
    assert max(map(len, got)) <= width


def test_visible_rows_prefer_those_at_work() -> None:
    rows = _rows()
    assert [row.label for row in rows.visible(2)] == ["Image nginx:1.27", "Container demo-db-1"]
    assert [row.label for row in rows.visible(1)] == ["Image nginx:1.27"]
    assert rows.done == 1
