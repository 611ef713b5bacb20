"""What the listing commands show of containers, projects, processes, events and usage."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from stackr.cli.commands.history import listed
from stackr.cli.commands.ps import _states
from stackr.cli.views.containers import HEADINGS, container_fields, ports_text
from stackr.cli.views.events import event_json, event_line
from stackr.cli.views.processes import Processes, processes_table
from stackr.cli.views.projects import project_rows, projects_table
from stackr.cli.views.units import binary_size
from stackr.cli.views.usage import stats_fields
from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.observe.revision import Revision
from stackr.runtime import labels
from stackr.runtime.docker.observe import container_stats
from stackr.runtime.types import (
    ContainerState,
    ContainerStats,
    EngineEvent,
    MountState,
    PublishedPort,
)

_HTTP = [(n, "tcp", "127.0.0.1", n) for n in (80, 81, 82, 90)]


@pytest.mark.parametrize(
    ("ports", "want"),
    [
        ([], ""),
        ([(80, "tcp", "", 0)], "80/tcp"),
        (
            [(80, "tcp", "0.0.0.0", 8080), (80, "tcp", "::", 8080)],
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        ),
        (_HTTP, "127.0.0.1:80-82->80-82/tcp, 127.0.0.1:90->90/tcp"),
        ([(53, "udp", "", 0), (54, "udp", "", 0), (53, "tcp", "", 0)], "53/tcp, 53-54/udp"),
        (
            [(80, "tcp", "1.2.3.4", 80), (81, "tcp", "1.2.3.4", 9)],
            "1.2.3.4:80->80/tcp, 1.2.3.4:9->81/tcp",
        ),
    ],
)
def test_ports(ports: list[tuple[int, str, str, int]], want: str) -> None:
    assert ports_text(PublishedPort(*port) for port in ports) == want


def _container(**attributes: object) -> ContainerState:
    own = {labels.PROJECT: "demo", labels.SERVICE: "web", labels.SPEC: "{}", "a": "b"}
    return ContainerState(**{"id": "f" * 64, "name": "demo-web-1", "labels": own, **attributes})  # type: ignore[arg-type]


def test_fields_of_a_container() -> None:
    container = _container(
        command="sh -c 'echo a long command'",
        created=1000,
        state="exited",
        exit_code=3,
        mounts=(
            MountState("volume", "/x", name="a-very-long-volume-name"),
            MountState("bind", "/y", "/src"),
        ),
        ports=(PublishedPort(80, "tcp", "0.0.0.0", 8080),),
    )
    fields = container_fields(container, now=1065)
    assert fields["Command"] == '"sh -c \'echo a long …"'
    assert fields["ID"] == "f" * 12
    assert fields["Label"]("a") == "b"
    assert fields["Labels"] == "a=b,com.docker.compose.project=demo,com.docker.compose.service=web"
    assert fields["Mounts"] == "a-very-long-vo…,/src"
    assert (fields["LocalVolumes"], fields["ExitCode"]) == ("1", 3)
    assert fields["RunningFor"] == "About a minute ago"
    assert fields["Publishers"][0]["PublishedPort"] == 8080
    assert set(HEADINGS) == {key for key, value in fields.items() if not callable(value)}
    whole = container_fields(container, now=1065, whole=True)
    assert whole["ID"] == "f" * 64
    assert whole["Command"] == "\"sh -c 'echo a long command'\""
    assert whole["Mounts"] == "a-very-long-volume-name,/src"


def test_states_of_ps() -> None:
    assert _states(["running"], "status=exited") == ("running", "exited")
    with pytest.raises(InvalidArgument, match="KEY=VAL is expected"):
        _states([], "running")
    with pytest.raises(InvalidArgument, match="unknown filter name"):
        _states([], "name=x")
    with pytest.raises(InvalidArgument, match='unknown value "up"'):
        _states([], "status=up")
    with pytest.raises(NotSupported, match="source"):
        _states([], "source=image")


def test_projects() -> None:
    def container(project: str, state: str, **others: str) -> ContainerState:
        return _container(state=state, labels={labels.PROJECT: project, **others})

    files = {labels.CONFIG_FILES: "/a.yml,/b.yml"}
    rows = project_rows(
        [
            container("two", "running"),
            container("one", "running", **files),
            container("one", "exited", **{labels.CONFIG_FILES: "/b.yml,/c.yml"}),
            container("one", "running", **files),
        ]
    )
    assert [(row.name, row.status, row.files) for row in rows] == [
        ("one", "exited(1), running(2)", "/a.yml,/b.yml,/c.yml"),
        ("two", "running(1)", "N/A"),
    ]
    assert projects_table(rows[1:]) == [
        "NAME                STATUS              CONFIG FILES",
        "two                 running(1)          N/A",
    ]


def test_processes_of_different_columns() -> None:
    lines = processes_table(
        [
            Processes("db", "1", ("PID", "CMD"), (("12", "sleep 1"), ("13", "sh"))),
            Processes("web", "", ("USER", "PID"), (("root", "7"),)),
        ]
    )
    assert [line.split() for line in lines] == [
        ["SERVICE", "#", "PID", "USER", "CMD"],
        ["db", "1", "12", "-", "sleep", "1"],
        ["db", "1", "13", "-", "sh"],
        ["web", "7", "root", "-"],
    ]
    assert processes_table([]) == []


def test_events() -> None:
    own = {labels.SERVICE: "web", "io.stackr.spec": "{}", "name": "demo-web-1", "image": "i"}
    event = EngineEvent("container", "start", "abc", own, 1_767_360_217_123_456_789)
    local = datetime.fromtimestamp(1_767_360_217, UTC).astimezone()
    assert event_line(event) == (
        f"{local:%Y-%m-%d %H:%M:%S}.123456 container start abc (image=i, name=demo-web-1)"
    )
    assert json.loads(event_json(event)) == {
        "action": "start",
        "attributes": {"image": "i", "name": "demo-web-1"},
        "id": "abc",
        "service": "web",
        "time": "2026-01-02T13:23:37.123456789Z",
        "type": "container",
    }


@pytest.mark.parametrize(
    ("value", "want"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (25_275_000_000, "23.54GiB"), (2**50, "1024TiB")],
)
def test_binary_sizes(value: float, want: str) -> None:
    assert binary_size(value) == want


def test_stats() -> None:
    reading = {
        "cpu_stats": {
            "cpu_usage": {"total_usage": 300},
            "system_cpu_usage": 2000,
            "online_cpus": 2,
        },
        "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
        "memory_stats": {"usage": 5000, "limit": 8192, "stats": {"inactive_file": 904}},
        "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 1}, "eth1": {"rx_bytes": 5}},
        "blkio_stats": {
            "io_service_bytes_recursive": [{"op": "Read", "value": 7}, {"op": "write", "value": 9}]
        },
        "pids_stats": {"current": 4},
    }
    stats = container_stats(reading)
    assert stats == ContainerStats(40.0, 4096, 8192, 15, 1, 7, 9, 4)
    assert container_stats({**reading, "precpu_stats": {}}).cpu_percent == 0
    assert container_stats({"cpu_stats": {}, "memory_stats": {}}) == ContainerStats()
    fields = stats_fields(_container(), stats)
    assert (fields["CPUPerc"], fields["MemUsage"], fields["MemPerc"]) == (
        *("40.00%", "4KiB / 8KiB", "50.00%"),
    )
    assert (fields["NetIO"], fields["BlockIO"], fields["PIDs"]) == ("15B / 1B", "7B / 9B", "4")


def test_revisions_on_a_narrow_terminal_have_lines_of_their_own() -> None:
    summary = {"create": 2, "recreate": 6, "orphan": 1}
    services = ("api", "auth", "cache")
    one = Revision(2, by="ann@laptop", summary=summary, services=services, commit="1a2b3c4")
    lines = listed([one], 60)
    assert lines[0].startswith("2  up by ann@laptop, ")
    assert lines[-2:] == ["   2 to create, 6 to recreate, 1 orphan", "   api, auth, cache"]
    assert max(map(len, lines)) <= 60
    head, row = listed([one], 0)
    assert head.split()[:6] == ["REVISION", "WHEN", "BY", "ACTION", "STATUS", "CHANGES"]
    assert "2 to create, 6 to recreate, 1 orphan" in row
