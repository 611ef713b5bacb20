"""What exists, as text: ps, images, volumes, ls, top, stats, events, port, as Docker Compose."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from recording_proxy import asking
from stackr_stack import Stack, free_port, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: [sh, -c, "cd /data; exec httpd -f -p 80"]
        ports: ["127.0.0.1:${PORT}:80", "127.0.0.1::81/udp", "82"]
        healthcheck: {test: "true", interval: 1h, start_period: 1h, start_interval: 0.2s}
        volumes: [data:/kept, "/anonymous"]
        scale: 1
      db:
        image: ${IMAGE}
        command: sleep 1000
        scale: 2
        stop_grace_period: 0s
        labels: {mine: "yes"}
        volumes: [data:/kept]
      job:
        image: ${IMAGE}
        command: sh -c "exit 3"
    volumes: {data: {labels: {of: mine}}, other: {}}
    """


@pytest.fixture(scope="module")
def stack(standing: Stack) -> Stack:
    """One for all, for they only look at it, or put it back."""
    standing.environ["PORT"] = str(free_port())
    standing.write(STACK)
    standing("up", "-d")
    until_it_is_healthy(standing)  # and is not looked at any more, so that lists stay as they are
    until(lambda: standing.states()["job-1"] == "exited")
    standing("run", "-d", "--no-deps", "--name", f"{standing.name}-oneoff", "db", "sleep", "1000")
    return standing


def until_it_is_healthy(stack: Stack) -> None:
    until(lambda: stack.containers()[f"{stack.name}-web-1"]["Health"] == "healthy")


def assert_same(stack: Stack, *arguments: str) -> None:
    """Both print the same but for times, which go on, and blanks; the exit codes are equal."""
    ours, theirs = (run(*arguments, want=None) for run in (stack, stack.compose))
    assert _timeless(ours.stdout) == _timeless(theirs.stdout), ours.stderr
    assert ours.returncode == theirs.returncode, ours.stderr


def _timeless(text: str) -> list[str]:
    text = re.sub(r"(\d+|About an?|Less than a) (second|minute|hour)s?", "TIME", text)
    return [re.sub(" {2,}", "  ", line).rstrip() for line in text.split("\n")]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-a",),
        ("web",),
        ("-q",),
        ("-aq",),
        ("--services",),
        ("-a", "--services"),
        ("--no-trunc",),
        ("--status", "exited"),
        ("--status", "running", "--status", "exited", "-q"),
        ("--filter", "status=exited"),
        ("--format", "{{.Name}} {{.State}} {{.Health}}"),
        ("--format", "table {{.Service}}\t{{.Image}}\t{{.Ports}}"),
        ("-a", "--format", '{{.Names}} {{.Label "mine"}} {{.Project}}'),
        ("--format", "{{json .Publishers}}"),
        ("--format", "{{range .Publishers}}{{.PublishedPort}} {{end}}"),
        ("-a", "--format", "{{.Name}} {{.ExitCode}} {{.Command}}"),
        ("--orphans=false",),
    ],
    ids=" ".join,
)
def test_ps_prints_what_docker_compose_does(stack: Stack, arguments: tuple[str, ...]) -> None:
    assert_same(stack, "ps", *arguments)


def test_ps_as_json(stack: Stack) -> None:
    def parsed(text: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in text.splitlines()]

    ours = parsed(stack("ps", "-a", "--format", "json").stdout)
    theirs = parsed(stack.compose("ps", "-a", "--format", "json").stdout)
    for mine, its in zip(ours, theirs, strict=True):
        assert list(mine) == list(its)
        for moving in ("RunningFor", "Status", "Labels"):  # Go shuffles the labels
            mine.pop(moving)
            its.pop(moving)
        assert mine == its


def test_the_other_lists(stack: Stack, docker: Docker) -> None:
    for arguments in (
        ("images",),
        ("images", "-q"),
        ("images", "web"),
        ("volumes", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"),
        ("volumes", "-q"),
        ("port", "web", "80"),
        ("port", "--protocol", "udp", "web", "81"),
        ("port", "web", "99"),
        ("port", "--index", "7", "web", "80"),
    ):
        assert_same(stack, *arguments)
    assert stack("port", "web", "80").stdout == f"127.0.0.1:{stack.environ['PORT']}\n"
    ours, theirs = (
        json.loads(run("images", "--format", "json").stdout) for run in (stack, stack.compose)
    )
    for listed in (ours, theirs):
        listed.sort(key=lambda image: image["ContainerName"])
        for image in listed:
            image["LastTagTime"] = image["LastTagTime"][:17]
    assert ours == theirs
    assert stack("volumes", "web", "-q").stdout == f"{stack.name}_data\n"


def test_json_has_docker_composes_keys(stack: Stack) -> None:
    begun = f"{time.time():.3f}"
    stack("pause", "web")
    stack("unpause", "web")
    window = ("--since", begun, "--until", f"{time.time():.3f}")
    for arguments in (
        ("volumes", "--format", "json"),
        ("ls", "--format", "json", "--filter", f"name={stack.name}"),
        ("events", "--json", *window),
    ):
        ours, theirs = (_keys(run(*arguments, want=None).stdout) for run in (stack, stack.compose))
        assert ours == theirs
        assert ours


def _keys(text: str) -> set[str]:
    """Of the objects of a list, or of one a line."""
    values = [json.loads(line) for line in text.splitlines()]
    objects = values[0] if values and isinstance(values[0], list) else values
    return {key for each in objects for key in each}


def test_projects(stack: Stack, docker: Docker) -> None:
    def rows(text: str) -> list[list[str]]:
        found = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
        return [row for row in found if row[0] in (stack.name, "NAME")]

    for arguments in ((), ("-a",), ("--filter", f"name={stack.name}")):
        ours, theirs = (rows(run("ls", *arguments).stdout) for run in (stack, stack.compose))
        assert ours == theirs
        assert "running(" in ours[1][1]
    assert stack.name in stack("ls", "-q").stdout.splitlines()
    listed = json.loads(stack("ls", "--format", "json").stdout)
    assert stack.name in [project["Name"] for project in listed]
    stack("stop", "-t", "0")
    stack("kill")
    assert stack.name not in stack("ls", "-q").stdout.splitlines()
    assert rows(stack("ls", "-a").stdout) == rows(stack.compose("ls", "-a").stdout)
    stack("start", "web", "db")
    docker("start", f"{stack.name}-oneoff")
    until_it_is_healthy(stack)


def test_processes(stack: Stack) -> None:
    def columns(text: str) -> list[list[str]]:
        """Without times and the use of the processor, which go on."""
        return [line.split()[:4] + line.split()[8:] for line in text.splitlines()]

    ours, theirs = (columns(run("top").stdout) for run in (stack, stack.compose))
    assert ours == theirs
    assert "httpd" in stack("top", "web").stdout
    assert "httpd" not in stack("top", "db").stdout


def test_use_of_resources(stack: Stack) -> None:
    shown = stack("stats", "--no-stream").stdout.splitlines()
    peer = stack.compose("stats", "--no-stream").stdout.splitlines()
    assert shown[0].split() == peer[0].split()
    assert len(shown) == len(peer) == 5
    assert len(stack("stats", "--no-stream", "-a").stdout.splitlines()) == 6
    lines = stack("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "db").stdout
    assert lines.splitlines() == [f"{stack.name}-db-{number} 1" for number in (1, 2)] + [
        f"{stack.name}-oneoff 1"
    ]
    [one] = stack("stats", "--no-stream", "--format", "json", "web").stdout.splitlines()
    [other] = stack.compose("stats", "--no-stream", "--format", "json", "web").stdout.splitlines()
    assert list(json.loads(one)) == list(json.loads(other))
    whole = stack("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}", "web").stdout
    assert len(whole.strip()) == 64
    with stack.start("stats", "web") as process:
        assert process.stdout is not None
        seen = "".join(process.stdout.readline() for _ in range(4))
        process.send_signal(2)
        process.communicate(timeout=60)
    assert seen.count(f"{stack.name}-web-1") >= 1
    assert process.returncode == 130


def test_events_that_were(stack: Stack) -> None:
    begun = f"{time.time():.3f}"
    stack("restart", "-t", "0", "db")
    time.sleep(0.1)
    until_ = f"{time.time():.3f}"
    window = ("--since", begun, "--until", until_)
    ours, theirs = (  # Docker Compose ends with the error "EOF"
        sorted(
            json.loads(line)["action"]
            for line in run("events", "--json", *window, want=None).stdout.splitlines()
        )
        for run in (stack, stack.compose)
    )
    assert ours == theirs
    assert {"die", "start", "restart"} <= set(ours)
    kinds = [
        re.findall(r"^\S+ \S+ container (\w+) (\w{64}) \(", done.stdout, re.M)
        for run in (stack, stack.compose)
        for done in [run("events", *window, "db", want=None)]
    ]
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) == len(ours)


def test_events_as_they_come(stack: Stack) -> None:
    with asking(stack, "/events", "events", "--json", "web") as process:
        assert process.stdout is not None
        stack("pause", "db", "web")
        stack("unpause", "db", "web")
        seen = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(2)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert [event["action"] for event in seen] == ["pause", "unpause"]
    assert {event["service"] for event in seen} == {"web"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ps", "nope"), "no such service: nope"),
        (("ps", "--format", "{{.Nope}}"), "Nope"),
        (("ps", "--format", "{{"), "template parsing error: unclosed action"),
        (("ps", "--status", "nope"), "nope"),
        (("ps", "--filter", "source=x"), "--filter: source: not supported"),
        (("ps", "--filter", "x"), "--filter"),
        (("images", "--format", "yaml"), "--format"),
        (("ls", "--filter", "label=x"), "--filter"),
        (("volumes", "nope"), "no such service: nope"),
        (("top", "nope"), "no such service: nope"),
        (("stats", "nope"), "no such service: nope"),
        (("events", "--since", "soon"), "--since"),
        (("port", "web", "http"), "http"),
        (("port", "--protocol", "sctpp", "web", "80"), "--protocol"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage(stack: Stack, arguments: tuple[str, ...], message: str) -> None:
    shown = stack(*arguments, want=1).stderr
    assert message in shown
    assert len(shown.splitlines()) <= 2
