"""`stackr run`, beside Docker Compose v2 on the same engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pty_process import on_terminal
from stackr_stack import Stack, free_port, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: [sh, -c, "echo main; sleep 1000"]
        container_name: ${COMPOSE_PROJECT_NAME}-fixed
        environment: {FROM: file, KEPT: "yes"}
        labels: {mine: kept}
        ports: ["127.0.0.1:${PORT}:80"]
        restart: always
        hostname: webhost
        depends_on:
          db: {condition: service_healthy}
          once: {condition: service_completed_successfully}
        stop_grace_period: 0s
      db:
        image: ${IMAGE}
        command: [sh, -c, "sleep 0.4; touch /tmp/ready; sleep 1000"]
        healthcheck: {test: test -e /tmp/ready, interval: 0.2s, retries: 10000}
        stop_grace_period: 0s
      once:
        image: ${IMAGE}
        command: "true"
      plain:
        image: ${IMAGE}
        command: [echo, its own command]
        entrypoint: []
    """


@pytest.fixture
def stack(stack: Stack) -> Stack:
    stack.environ["PORT"] = str(free_port())
    stack.write(STACK)
    return stack


def everything(stack: Stack, docker: Docker) -> list[str]:
    """All containers of the project, those of `run` too."""
    label = f"label=com.docker.compose.project={stack.name}"
    return docker("ps", "-aq", "--no-trunc", "-f", label).stdout.split()


def inspect(docker: Docker, ref: str) -> dict[str, Any]:
    [found] = json.loads(docker("inspect", ref).stdout)
    assert isinstance(found, dict)
    return found


def oneoffs(stack: Stack, docker: Docker) -> list[dict[str, Any]]:
    found = [inspect(docker, ref) for ref in everything(stack, docker)]
    return [c for c in found if c["Config"]["Labels"]["com.docker.compose.oneoff"] == "True"]


def test_its_output_and_exit_code_are_passed_on(stack: Stack, docker: Docker) -> None:
    done = stack("run", "--rm", "plain", "sh", "-c", "echo out; echo err >&2; exit 7", want=7)
    assert done.stdout == "out\n"
    assert "err\n" in done.stderr
    peer = stack.compose("run", "--rm", "plain", "sh", "-c", "echo out; exit 7", want=7)
    assert peer.stdout == "out\n"
    assert stack("run", "--rm", "plain").stdout == "its own command\n"
    assert stack("run", "--rm", "-T", "plain", "cat", stdin="through\n").stdout == "through\n"
    assert everything(stack, docker) == []


@pytest.mark.parametrize(
    ("command", "code"), [(("no-such-program",), 127), (("/etc/passwd",), 126), (("/etc",), 126)]
)
def test_a_program_that_cannot_be_run(
    stack: Stack, docker: Docker, command: tuple[str, ...], code: int
) -> None:
    stack("run", "--rm", "plain", *command, want=code)
    assert everything(stack, docker) == []
    stack("run", "plain", *command, want=code)
    [kept] = oneoffs(stack, docker)
    assert kept["State"]["Status"] == "created"


def test_what_it_needs_comes_first_and_stays(stack: Stack, docker: Docker) -> None:
    assert stack("run", "--rm", "web", "echo", "ran").stdout == "ran\n"
    assert stack.states() == {"db-1": "running", "once-1": "exited"}
    db = inspect(docker, f"{stack.name}-db-1")
    assert db["State"]["Health"]["Status"] == "healthy"
    stack("run", "--rm", "web", "true")
    assert inspect(docker, f"{stack.name}-db-1")["Id"] == db["Id"]


def test_no_deps(stack: Stack, docker: Docker) -> None:
    stack("run", "--rm", "--no-deps", "web", "true")
    assert everything(stack, docker) == []


def test_a_need_that_fails_ends_it(stack: Stack, docker: Docker) -> None:
    path = stack.folder / "compose.yaml"
    path.write_text(path.read_text().replace('command: "true"', 'command: "false"'))
    done = stack("run", "--rm", "web", "echo", "ran", want=1)
    assert "once" in done.stderr
    assert done.stdout == ""
    assert oneoffs(stack, docker) == []


def _comparable(found: dict[str, Any]) -> dict[str, Any]:
    """What a container is, without what is random about it."""
    config, host = found["Config"], found["HostConfig"]
    labels = {
        key: value
        for key, value in config["Labels"].items()
        if not key.startswith(("com.docker.compose.", "io.stackr."))
        or key.endswith((".oneoff", ".service", ".project"))
    }
    return {
        "labels": labels,
        "env": sorted(e for e in config["Env"] if not e.startswith("HOSTNAME=")),
        **{key: config[key] for key in ("Cmd", "Entrypoint", "User", "WorkingDir", "Tty")},
        "stdin": (config["OpenStdin"], config["StdinOnce"]),
        "hostname": config["Hostname"],
        **{key: host[key] for key in ("AutoRemove", "RestartPolicy", "PortBindings")},
        "caps": [
            sorted(name.removeprefix("CAP_") for name in host[key] or ())
            for key in ("CapAdd", "CapDrop")
        ],
        "binds": sorted((m["Type"], m["Destination"], m["RW"]) for m in found["Mounts"]),
        "aliases": {
            name: sorted(
                "NAME" if alias == found["Name"][1:] else alias
                for alias in network["Aliases"] or ()
                if not found["Id"].startswith(alias)
            )
            for name, network in found["NetworkSettings"]["Networks"].items()
        },
    }


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-e", "FROM=cli", "-e", "NEW=1", "-e", "CALLERS", "-e", "UNSET"),
        ("--env-from-file", "more.env", "-e", "NEW=1"),
        ("-l", "a=b", "--label", "mine=other"),
        ("-u", "nobody", "-w", "/tmp"),
        ("--cap-add", "SYS_PTRACE", "--cap-drop", "CHOWN"),
        ("--entrypoint", "sh -c 'echo hi'"),
        ("-v", "./here:/there:ro", "-v", "/anonymous"),
        ("--use-aliases",),
        ("-T",),
        ("-i",),
        ("--no-deps",),
    ],
    ids=lambda options: " ".join(options) or "none",
)
def test_the_container_is_as_docker_composes(
    stack: Stack, docker: Docker, options: tuple[str, ...]
) -> None:
    (stack.folder / "here").mkdir()
    (stack.folder / "more.env").write_text("NEW=from-file\nREF=${FROM:-unset}\n")
    stack.environ["CALLERS"] = "own"
    stack.environ.pop("UNSET", None)
    arguments = ("run", "-d", "--no-deps", *options, "web", "sleep", "1000")
    made = []
    runs: tuple[Callable[..., object], ...] = (stack, stack.compose)
    for number, run in enumerate(runs):
        run("-p", f"{stack.name}{number}", *arguments)
        [new] = docker("ps", "-aq", "-f", f"name={stack.name}{number}-web-run-").stdout.split()
        found = docker("inspect", new).stdout.replace(f"{stack.name}{number}", "PROJECT")
        made.append(json.loads(found)[0])
        run("-p", f"{stack.name}{number}", "down", "-t", "0", "-v", "--remove-orphans")
    ours, theirs = made
    assert _comparable(ours) == _comparable(theirs)
    for each in made:
        assert re.fullmatch(r"/PROJECT-web-run-[0-9a-f]{12}", each["Name"])


def answer(port: int) -> bytes:
    """What its server says; nothing while it does not listen."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=30) as reply:
            return bytes(reply.read())
    except OSError:
        return b""


def test_ports(stack: Stack, docker: Docker) -> None:
    port, other = int(stack.environ["PORT"]), free_port()
    serve = ["web", "sh", "-c", "cd /data; exec httpd -f -p 80"]
    first, second, third = (f"{stack.name}-own-{number}" for number in (1, 2, 3))
    stack("run", "-d", "--no-deps", "--name", first, *serve)
    assert inspect(docker, first)["HostConfig"]["PortBindings"] in ({}, None)
    stack("run", "-d", "--no-deps", "-P", "--name", second, *serve)
    stack("run", "-d", "--no-deps", "-p", f"127.0.0.1:{other}:80", "--name", third, *serve)
    assert until(lambda: answer(port)) == b"hello from the image\n"
    assert until(lambda: answer(other)) == b"hello from the image\n"
    refused = stack("run", "-P", "-p", "1:1", "web", want=1)
    assert "--service-ports and --publish cannot be combined" in refused.stderr


def test_detached_it_prints_its_id(stack: Stack, docker: Docker) -> None:
    shown = stack("run", "-d", "--no-deps", "web", "sleep", "1000").stdout.strip()
    assert everything(stack, docker) == [shown]
    assert stack("ps", "-aq").stdout.strip() in ("", shown)
    assert "run" in stack("ps", "-a").stdout
    stack("kill")
    until(lambda: inspect(docker, shown)["State"]["Status"] == "exited")


def test_detached_with_rm_it_goes_when_it_ends(stack: Stack, docker: Docker) -> None:
    stack("run", "-d", "--rm", "--no-deps", "web", "sleep", "0.3")
    until(lambda: not everything(stack, docker))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_go_to_the_program(stack: Stack, docker: Docker, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got; exit 9' {name}; echo up; while :; do sleep 0.1; done"
    with stack.start("run", "--rm", "plain", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (9, "got\n"), err
    assert everything(stack, docker) == []


def test_nothing_stays_when_the_command_is_killed(stack: Stack, docker: Docker) -> None:
    script = "echo up; sleep 1000"
    with stack.start("run", "--rm", "plain", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.kill()
    assert len(everything(stack, docker)) == 1
    stack("kill", "plain")
    until(lambda: not everything(stack, docker))


def test_interrupted_while_its_needs_start(stack: Stack, docker: Docker) -> None:
    path = stack.folder / "compose.yaml"
    path.write_text(path.read_text().replace("sleep 0.4;", "sleep 1000;"))
    with stack.start("run", "--rm", "web", "true") as process:
        until(lambda: len(everything(stack, docker)) == 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert oneoffs(stack, docker) == []


def test_on_a_terminal(stack: Stack, docker: Docker) -> None:
    script = (
        "stty size; read a; echo got $a; trap 'stty size' WINCH; echo set; "
        "while :; do sleep 0.1; done"
    )
    with on_terminal(
        stack, "run", "--rm", "plain", "sh", "-c", script, rows=33, columns=111
    ) as process:
        process.read_until(b"33 111")
        process.type(b"words\r")
        process.read_until(b"got words\r\nset")
        process.resize(44, 99)
        process.read_until(b"44 99")
        process.type(b"\x03")
        assert process.wait() == 130
    assert everything(stack, docker) == []


def test_detaching_from_it(stack: Stack, docker: Docker) -> None:
    with on_terminal(stack, "run", "--rm", "plain", "sh", "-c", "echo up; sleep 1000") as process:
        process.read_until(b"up\r\n")
        process.type(b"\x10\x11")
        assert process.wait() == 0
        assert b"read escape sequence" in process.seen
    [left] = oneoffs(stack, docker)
    assert left["State"]["Running"]
    assert left["Config"]["Tty"]


def test_without_a_terminal_where_there_is_one(stack: Stack) -> None:
    with on_terminal(stack, "run", "--rm", "-T", "plain", "sh", "-c", "tty; echo end") as process:
        process.read_until(b"end")
        assert process.wait() == 0
        assert b"not a tty" in process.seen


def test_quiet_shows_the_program_alone(stack: Stack) -> None:
    done = stack("run", "--rm", "-q", "web", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_dry_run_changes_nothing(stack: Stack, docker: Docker) -> None:
    shown = stack("--dry-run", "run", "--rm", "web", "true").stdout
    assert f"{stack.name}-db-1" in shown
    assert f"{stack.name}-web-run-" in shown
    assert everything(stack, docker) == []


def test_orphans(stack: Stack) -> None:
    stack("up", "-d", "db")
    (stack.folder / "compose.yaml").write_text(
        f"services: {{plain: {{image: '{stack.environ['IMAGE']}', command: 'true'}}}}"
    )
    assert "orphan" in stack("run", "--rm", "plain").stderr
    assert stack.states() == {"db-1": "running"}
    stack("run", "--rm", "--remove-orphans", "plain")
    assert stack.states() == {}


def test_its_end_is_told_at_once(stack: Stack) -> None:
    """No poll or time-out is waited for: it takes a time as with Docker Compose."""

    def time_of(command: Callable[..., object]) -> float:
        begun = time.monotonic()
        command("run", "--rm", "plain", "true")
        return time.monotonic() - begun

    times = [(time_of(stack), time_of(stack.compose)) for _ in range(3)]  # in turn: loads change
    ours, theirs = zip(*times, strict=True)
    assert min(ours) < 10 * min(theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "no such service: nope"),
        (("-e", "=x", "web"), '--env: "=x": KEY=VALUE is expected'),
        (("-l", "x", "web"), '--label: "x": label must be set as KEY=VALUE'),
        (("-p", "x", "web"), '--publish: "x"'),
        (("--env-from-file", "gone", "web"), "--env-from-file: gone: no such file or directory"),
        (("--pull", "maybe", "web"), '--pull: unknown value "maybe"'),
        (("-t", "web"), "run: --tty: the input device is not a TTY"),
        (("--entrypoint", "'", "web"), "--entrypoint:"),
    ],
)
def test_bad_usage(stack: Stack, arguments: tuple[str, ...], message: str) -> None:
    done = stack("run", *arguments, want=1)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_the_caller_has_no_stdin_at_all(stack: Stack, tmp_path: Path) -> None:
    script = f"exec {stack_program()} run --rm plain cat <&-"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=stack.folder,
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def stack_program() -> str:
    from stackr_stack import STACKR

    assert os.access(STACKR, os.X_OK)
    return STACKR


def test_bytes_that_are_no_utf8_reach_the_program_replaced(stack: Stack) -> None:
    stack.write(
        """
        services:
          a:
            image: ${IMAGE}
            env_file: v.env
            environment: [FROM_SHELL]
            command: [env]
        """
    )
    (stack.folder / "v.env").write_bytes(b"A=caf\xe9\nB=ok\n")
    stack.environ["FROM_SHELL"] = "na\udcefve"
    lines = stack("run", "--rm", "-T", "a").stdout.splitlines()
    assert {"A=caf\ufffd", "B=ok", "FROM_SHELL=na\ufffdve"} <= set(lines)
    assert "caf\ufffd" in stack("config").stdout
