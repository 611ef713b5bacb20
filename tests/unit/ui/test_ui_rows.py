"""What the dashboard keeps and tells: rows, lines of logs, the files of a stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.runtime import labels
from stackr.runtime.types import ContainerState, ContainerStats, PublishedPort
from stackr.spec.session import LoadOptions
from stackr.stack.log_lines import LogLine
from stackr.stack.source import Source
from stackr.ui.log_buffer import LogBuffer, LogFilter
from stackr.ui.plan_watch import stack_files
from stackr.ui.rows import headline, style_of, table_rows
from stackr.ui.words import line_text


def container(service: str, number: int = 1, **attributes: object) -> ContainerState:
    name = f"demo-{service}-{number}"
    own = {labels.PROJECT: "demo", labels.SERVICE: service, labels.CONTAINER_NUMBER: str(number)}
    return ContainerState(name, name, labels=own, **attributes)  # type: ignore[arg-type]


def test_a_row_for_each_container_and_for_each_service_without_one() -> None:
    ports = (
        PublishedPort(80, "tcp", "0.0.0.0", 8080),
        PublishedPort(80, "tcp", "::", 8080),
        PublishedPort(53, "udp", "127.0.0.1", 5353),
        PublishedPort(443),
    )
    usage = ContainerStats(cpu_percent=7.6, memory_bytes=1234 << 20)
    rows = table_rows(
        [
            container("web", 10, state="running"),
            container("web", 2, state="running", health="healthy", ports=ports),
            container("job", state="exited", exit_code=3),
        ],
        ["web", "db"],
        {"demo-web-2": usage, "demo-job-1": usage},
    )
    assert [row.cells for row in rows] == [
        ("db", "not created", "-", "-", "-", "-"),
        ("job-1", "exited (3)", "-", "-", "-", "-"),
        ("web-2", "running", "healthy", "8%", "1.21GiB", "8080->80, 127.0.0.1:5353->53/udp"),
        ("web-10", "running", "-", "-", "-", "-"),
    ]
    assert headline(rows) == "2 running, 1 not created, 1 exited"


@pytest.mark.parametrize(
    ("state", "style"),
    [
        ({"state": "running"}, "green"),
        ({"state": "running", "health": "starting"}, "yellow"),
        ({"state": "running", "health": "unhealthy"}, "red"),
        ({"state": "restarting"}, "red"),
        ({"state": "exited", "exit_code": 0}, "dim"),
        ({"state": "exited", "exit_code": 1}, "red"),
    ],
)
def test_what_is_wrong_is_red(state: dict[str, object], style: str) -> None:
    (row,) = table_rows([container("web", **state)], [], {})  # type: ignore[arg-type]
    assert style_of(row) == style


def test_one_off_containers_are_no_rows() -> None:
    one_off = container("web", state="running")
    one_off = ContainerState("x", "x", labels={**one_off.labels, labels.ONEOFF: "True"})
    assert table_rows([one_off], [], {}) == []


def line(text: str, second: int, container: str = "web-1") -> LogLine:
    return LogLine(container, text, f"2026-01-02T13:23:{second:02d}.000000000Z")


def test_a_reading_that_goes_on_brings_no_line_twice() -> None:
    buffer = LogBuffer()
    assert buffer.begin() is None
    for each in (line("a", 1), line("b", 1), line("c", 2), line("old", 1, "db-1")):
        assert buffer.take(each)
    since = buffer.begin()
    assert since is not None
    assert since < 1767360181.0001  # of db-1, which is the farthest behind
    again = [line("a", 1), line("b", 1), line("c", 2), line("d", 2), line("e", 3)]
    assert [buffer.take(each) for each in again] == [False, False, False, True, True]
    assert [each.text for each in buffer.lines] == ["a", "b", "c", "old", "d", "e"]


def test_lines_are_found_by_container_and_by_text() -> None:
    buffer = LogBuffer()
    for each in (line("GET /Error", 1), line("error", 2), line("ok", 3), line("error", 4, "db-1")):
        buffer.take(each)

    def found(**wanted: str) -> list[str]:
        return [f"{each.container} {each.text}" for each in buffer.chosen(LogFilter(**wanted), 10)]

    assert found(search="error") == ["web-1 GET /Error", "web-1 error", "db-1 error"]
    assert found(search="Error") == ["web-1 GET /Error"]
    assert found(container="db-1") == ["db-1 error"]
    assert found(container="db-1", search="ok") == []
    assert [each.text for each in buffer.chosen(LogFilter(), 2)] == ["ok", "error"]


def test_a_line_acts_on_nothing_and_keeps_its_colours() -> None:
    text = line_text(line("\x1b[31mred\x1b[0m \x1b[2J\x07 [b]end", 1), LogFilter(search="end"))
    assert text.plain == "web-1 red \\u001b[2J\\u0007 [b]end"
    assert [span.style for span in text.spans][-1] == "reverse"


def test_the_files_of_a_stack_are_those_that_it_is_read_from(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("include: [more.yaml]\nservices: {a: {image: app}}\n")
    (tmp_path / "more.yaml").write_text("services: {b: {image: app, env_file: b.env}}\n")
    (tmp_path / "b.env").write_text("A=1\n")
    names = {path.name for path in stack_files(Source(LoadOptions(), {}, tmp_path))}
    assert {"compose.yaml", "compose.override.yaml", "more.yaml", "b.env", ".env"} <= names
    (tmp_path / "more.yaml").write_text("services: [")
    assert "more.yaml" in {path.name for path in stack_files(Source(LoadOptions(), {}, tmp_path))}
